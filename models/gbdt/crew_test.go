package gbdt

import (
	"runtime"
	"sync/atomic"
	"testing"
)

// Whether hands look out, sleep or are thought to be late, each part of a task is
// done once, and done when each returns.
func TestGangDoesEachPartOnce(t *testing.T) {
	for _, c := range []crew{1, 2, 5} {
		for _, looks := range []int{1, 50, lookouts} {
			g := &gang{crew: c, wake: make(chan struct{}, c), looks: looks, shy: leastShy * calm}
			for range int(c) - 1 {
				g.hands.Add(1)
				g.awake.Add(1)
				go g.hand()
			}
			for k := range 3000 {
				n := k % 13
				if k%500 == 0 {
					g.alone = 3
				}
				done := make([]int, n)
				g.each(n, func(i int) { done[i]++ })
				for i, times := range done {
					if times != 1 {
						t.Fatalf("crew of %d, task %d: part %d of %d was done %d times", c, k, i, n, times)
					}
				}
				for range k % 3 {
					runtime.Gosched() // so that hands come to sleep
				}
			}
			g.end()
		}
	}
}

// A hand that is stopped in a task makes the owner do the next ones alone, until
// it has seen enough of them.
func TestGangGoesOnAlone(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		t.Skip("one processor: nobody comes")
	}
	g := newGang(2)
	defer g.end()
	for range 1000 {
		var come atomic.Int64
		owner := make(chan bool, 1)
		owner <- true
		g.each(2, func(int) {
			select {
			case <-owner: // whoever comes first waits a little for the other
				for i := 0; come.Load() == 0 && i < 1e4; i++ {
					runtime.Gosched()
				}
			default:
				come.Add(1)
				for i := 0; i < 4*late; i++ { // and the other takes long
					come.Load()
				}
			}
		})
		if g.alone > 0 {
			break
		}
	}
	if g.alone < leastShy {
		t.Fatalf("%d tasks to be done alone, want %d or more", g.alone, leastShy)
	}
	for range g.alone {
		g.each(2, func(int) {})
	}
	if g.alone != 0 {
		t.Errorf("%d tasks left to be done alone", g.alone)
	}
}
