package features

import (
	"testing"

	"pgregory.net/rapid"
)

// TestWindowsAreExact checks the moving sums against adding up all days.
func TestWindowsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s series
		byDay := map[day]tally{}
		today, due := day(1000), endOfTime
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			today += day(rapid.SampledFrom([]int{0, 0, 1, 3, 30, 200, 500}).Draw(t, "ahead"))
			if today >= due {
				due = s.roll(today)
			}
			n := rapid.SampledFrom([]int32{1, 1, 2, -1}).Draw(t, "n")
			on := today - day(rapid.SampledFrom([]int{0, 0, 1, 6, 7, 28, 111, 364, 400}).Draw(t, "back"))
			due = min(due, s.add(today, on, n, int64(3*n)))
			byDay[on] = tally{byDay[on].n + n, byDay[on].pos + 3*n}
			var want counts
			var wantMoney amounts
			for d, x := range byDay {
				want[life], wantMoney[life] = want[life]+x.n, wantMoney[life]+int64(x.pos)
				for w, days := range windowDays {
					if d > today-days {
						want[w], wantMoney[w] = want[w]+x.n, wantMoney[w]+int64(x.pos)
					}
				}
			}
			if s.n != want || *s.amounts() != wantMoney {
				t.Fatalf("on day %d the sums are %+v and %+v, want %+v and %+v", today, s.n, *s.amounts(), want, wantMoney)
			}
			if plain, plainMoney := s.countsAt(today), s.amountsAt(today); plain != want || plainMoney != wantMoney {
				t.Fatalf("on day %d the plain sums are %+v and %+v, want %+v and %+v", today, plain, plainMoney, want, wantMoney)
			}
		}
	})
}

func TestTableIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var got table[int]
		want := map[uint64]int{}
		key := rapid.Uint64Range(1, 40) // dense, so that places collide
		for range rapid.IntRange(0, 100).Draw(t, "steps") {
			k := key.Draw(t, "key") << rapid.IntRange(0, 3).Draw(t, "shift")
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				below := key.Draw(t, "below")
				got.filter(func(k uint64, _ *int) bool { return k >= below })
				for k := range want {
					if k < below {
						delete(want, k)
					}
				}
			default:
				*got.put(k)++
				want[k]++
			}
			if got.n != len(want) || len(got.sorted()) != len(want) {
				t.Fatalf("%d entries, want %d", got.n, len(want))
			}
			for k := range uint64(400) {
				v, ok := want[k]
				if p := got.get(k); k > 0 && (p != nil) != ok || p != nil && *p != v {
					t.Fatalf("at %d: %v, want %d, %v", k, p, v, ok)
				}
			}
		}
	})
}

func TestRecentForgetsAfterTwoTurns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r recent
		turns, at := 0, map[uint64]int{}
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			if rapid.IntRange(0, 9).Draw(t, "what") == 0 {
				n := rapid.IntRange(0, 3).Draw(t, "turns")
				r.turn(n)
				turns += n
				continue
			}
			key := rapid.Uint64Range(1, 60).Draw(t, "key") << 1
			then, known := at[key]
			if again := r.add(key); again != (known && turns-then < 2) {
				t.Fatalf("key %d added in turn %d (%v) is again in turn %d: %v", key, then, known, turns, again)
			} else if !again {
				at[key] = turns
			}
		}
	})
}
