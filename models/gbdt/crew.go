package gbdt

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// crew is how many goroutines may work at once.
type crew int

// each calls f(0) … f(n-1), on several goroutines if the crew has them, and
// waits. What f writes must not depend on the order of calls.
func (c crew) each(n int, f func(i int)) {
	k := min(int(c), n)
	if k <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	t := task{n: int64(n), f: f}
	var wg sync.WaitGroup
	wg.Add(k - 1)
	for range k - 1 {
		go func() {
			defer wg.Done()
			t.work()
		}()
	}
	t.work()
	wg.Wait()
}

// blocks calls f for consecutive ranges of [0, n) of the given size. The ranges
// do not depend on the size of the crew.
func (c crew) blocks(n, size int, f func(block, lo, hi int)) {
	c.each((n+size-1)/size, func(b int) { f(b, b*size, min(n, (b+1)*size)) })
}

// task is f(0) … f(n-1), to be called by whoever comes.
type task struct {
	f    func(i int)
	n    int64
	next atomic.Int64
	busy atomic.Int64 // how many of a gang have come and not yet left
}

func (t *task) work() {
	for i := t.next.Add(1) - 1; i < t.n; i = t.next.Add(1) - 1 {
		t.f(int(i))
	}
}

// gang is a crew that stays: growing a tree has thousands of tasks of some ten
// microseconds, for which starting goroutines takes too long. Its hands look out
// for the next task for a while before they sleep. On a machine that is busy with
// something else a hand may be stopped in the middle of a task; its owner then
// goes on alone for a while, and for longer the more often that happens.
type gang struct {
	crew
	task  atomic.Pointer[task]
	ended atomic.Bool
	awake atomic.Int64
	wake  chan struct{}
	looks int // how often a hand looks before it sleeps
	hands sync.WaitGroup
	alone int // tasks still to be done alone
	shy   int // how many that are when a hand is late again, times calm
}

const (
	// lookouts is how often a hand looks for a task before it sleeps: some forty
	// microseconds, longer than what is done between tasks. More hands than
	// processors would look out in each other's way.
	lookouts = 40_000
	// late is how often the owner of a task looks for its hands' end before it
	// takes them for stopped: longer than any part of a task takes, which is for
	// its giver to see to.
	late = 400_000
	// leastShy and mostShy are how many tasks are done alone then: twice as many
	// each time, one less for so many tasks as calm that went well.
	leastShy, mostShy, calm = 16, 1 << 12, 16
)

// newGang starts the hands; end must be called.
func newGang(c crew) *gang {
	g := &gang{crew: c, wake: make(chan struct{}, max(int(c), 1)), looks: lookouts, shy: leastShy * calm}
	if int(c) > runtime.GOMAXPROCS(0) {
		g.looks = 1
	}
	for range int(c) - 1 {
		g.hands.Add(1)
		g.awake.Add(1)
		go g.hand()
	}
	return g
}

// end waits for the hands to leave.
func (g *gang) end() {
	g.ended.Store(true)
	close(g.wake)
	g.hands.Wait()
}

func (g *gang) hand() {
	defer g.hands.Done()
	var last *task
	for {
		for i := 0; i < g.looks && !g.ended.Load(); i++ {
			if t := g.task.Load(); t != nil && t != last {
				t.busy.Add(1)
				if g.task.Load() == t { // else its owner may have gone on without us
					t.work()
				}
				t.busy.Add(-1)
				last, i = t, 0
			}
			if i%1000 == 999 {
				runtime.Gosched()
			}
		}
		g.awake.Add(-1)
		if _, more := <-g.wake; !more {
			return
		}
		g.awake.Add(1)
	}
}

// each is that of a crew, for parts that take some hundred microseconds at most.
// Only one goroutine may call it.
func (g *gang) each(n int, f func(i int)) {
	if g.crew <= 1 || n <= 1 || g.alone > 0 {
		g.alone = max(g.alone-1, 0)
		for i := range n {
			f(i)
		}
		return
	}
	t := &task{n: int64(n), f: f}
	g.task.Store(t)
	for asleep := int64(g.crew) - 1 - g.awake.Load(); asleep > 0; asleep-- {
		select {
		case g.wake <- struct{}{}:
		default:
		}
	}
	t.work()
	g.task.Store(nil)
	looked := 0
	for ; t.busy.Load() > 0; looked++ {
		if looked%1000 == 999 {
			runtime.Gosched()
		}
	}
	if looked < late {
		g.shy = max(g.shy-1, leastShy*calm)
		return
	}
	g.alone, g.shy = g.shy/calm, min(2*g.shy, mostShy*calm)
}
