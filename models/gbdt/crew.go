package gbdt

import (
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
	var next atomic.Int64
	var wg sync.WaitGroup
	work := func() {
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			f(i)
		}
	}
	wg.Add(k - 1)
	for range k - 1 {
		go func() {
			defer wg.Done()
			work()
		}()
	}
	work()
	wg.Wait()
}

// blocks calls f for consecutive ranges of [0, n) of the given size. The ranges
// do not depend on the size of the crew.
func (c crew) blocks(n, size int, f func(block, lo, hi int)) {
	c.each((n+size-1)/size, func(b int) { f(b, b*size, min(n, (b+1)*size)) })
}
