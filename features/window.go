package features

import "slices"

// day is a UTC day, counted from 1970-01-01.
type day = int32

const (
	secondsPerDay = 86_400
	never         = day(-1)
)

func dayOf(unix int64) day {
	d := unix / secondsPerDay
	if unix%secondsPerDay < 0 {
		d--
	}
	return day(d)
}

// The windows, in days up to and including today, and the places of their sums.
// The window of 112 days serves the velocity (28 days against the 84 before).
const (
	w7 = iota
	w28
	w91
	w112
	w364
	windows
	life = windows // the sum over everything ever
)

var windowDays = [windows]day{7, 28, 91, 112, 364}

// counts and amounts are the sums of one series over each window and life.
type (
	counts  [windows + 1]int32
	amounts [windows + 1]int64
)

// entry is how often something happened on one day.
type entry struct {
	day day
	n   int32
}

// series is the daily history of one thing over the longest window: the days on
// which it happened, ascending. Its sums move with it: from[w] is the first
// entry inside window w as of the day the series was last rolled to; of the
// longest window it is the first of all. It fills a cache line of 64 bytes,
// since an event of a partner nobody looked at lately waits for memory alone.
type series struct {
	entries []entry
	money   *earned // nil while every amount is 0
	n       counts
	from    [w364]uint16
}

// earned is what a series adds up beside its counts.
type earned struct {
	sums amounts
	by   []int64 // beside the series' entries
}

// endOfTime is later than any day of a record.
const endOfTime = day(1 << 30)

// roll moves the sums on to today, and returns the next day on which anything
// leaves a window; rolling before that day changes nothing.
func (s *series) roll(today day) (due day) {
	due = endOfTime
	for w := range s.from {
		i := s.leave(w, int(s.from[w]), today)
		s.from[w] = uint16(i)
		if i < len(s.entries) {
			due = min(due, s.entries[i].day+windowDays[w])
		}
	}
	if out := s.leave(w364, 0, today); out > 0 {
		s.drop(out)
	}
	if len(s.entries) > 0 {
		due = min(due, s.entries[0].day+windowDays[w364])
	}
	return due
}

// leave takes what is outside of window w out of its sums, beginning at entry i;
// it returns the first entry inside.
func (s *series) leave(w, i int, today day) int {
	first := today - windowDays[w]
	for i < len(s.entries) && s.entries[i].day <= first {
		s.n[w] -= s.entries[i].n
		if s.money != nil {
			s.money.sums[w] -= s.money.by[i]
		}
		i++
	}
	return i
}

// drop forgets the first entries; their memory goes when the list next grows.
func (s *series) drop(out int) {
	s.entries = s.entries[out:]
	if s.money != nil {
		s.money.by = s.money.by[out:]
	}
	if len(s.entries) == 0 {
		s.entries = nil
		if s.money != nil {
			s.money.by = nil
		}
	}
	for w := range s.from {
		s.from[w] -= uint16(out)
	}
}

// add counts n more on a day not after today, the day s was rolled to. Negative
// n takes back what was added before. It returns the day on which this leaves
// its first window.
func (s *series) add(today, on day, n int32, amount int64) (due day) {
	if amount != 0 && s.money == nil {
		s.money = &earned{by: make([]int64, len(s.entries), cap(s.entries))}
	}
	s.n[life] += n
	if amount != 0 {
		s.money.sums[life] += amount
	}
	if on <= today-windowDays[w364] {
		return endOfTime
	}
	i := len(s.entries)
	for i > 0 && s.entries[i-1].day > on {
		i--
	}
	if i == 0 || s.entries[i-1].day != on {
		s.insert(i, on, today)
		i++
	}
	s.entries[i-1].n += n
	due = endOfTime
	for w, days := range windowDays {
		if on > today-days {
			s.n[w] += n
			due = min(due, on+days)
		}
	}
	if amount != 0 {
		s.money.by[i-1] += amount
		for w, days := range windowDays {
			if on > today-days {
				s.money.sums[w] += amount
			}
		}
	}
	return due
}

func (s *series) insert(i int, on, today day) {
	s.entries = slices.Insert(spare(s.entries), i, entry{day: on})
	if s.money != nil {
		s.money.by = slices.Insert(spare(s.money.by), i, 0)
	}
	for w := range s.from {
		if on <= today-windowDays[w] {
			s.from[w]++
		}
	}
}

// spare makes room for one more in a list: a quarter of what it holds, where
// append would double it, because a partner's lists lose about as much as they
// gain. The room is a multiple of eight, so that days fill whole cache lines.
func spare[T any](list []T) []T {
	n := len(list)
	if n < cap(list) {
		return list
	}
	return append(make([]T, 0, (n+n/4+8)&^7), list...)
}

// countsAt and amountsAt add up the windows as of another day than the one s was
// rolled to: the plain way, for rows of a partner that nothing has rolled.
func (s *series) countsAt(today day) (t counts) {
	t[life] = s.n[life]
	for _, e := range s.entries {
		for w, days := range windowDays {
			if e.day > today-days && e.day <= today {
				t[w] += e.n
			}
		}
	}
	return t
}

func (s *series) amountsAt(today day) (t amounts) {
	if s.money == nil {
		return t
	}
	t[life] = s.money.sums[life]
	for i, e := range s.entries {
		for w, days := range windowDays {
			if e.day > today-days && e.day <= today {
				t[w] += s.money.by[i]
			}
		}
	}
	return t
}

// amounts returns the sums of the amounts, not to be changed.
func (s *series) amounts() *amounts {
	if s.money == nil {
		return &noAmounts
	}
	return &s.money.sums
}

var noAmounts amounts

// absorb adds another series, rolled to the same day; it returns what add does.
func (s *series) absorb(today day, o *series) (due day) {
	due = endOfTime
	n, rest := o.n[life], o.amounts()[life]
	for i, e := range o.entries {
		amount := int64(0)
		if o.money != nil {
			amount = o.money.by[i]
		}
		due = min(due, s.add(today, e.day, e.n, amount))
		n -= e.n
		rest -= amount
	}
	s.addLife(n, rest)
	return due
}

// addLife counts what is older than the longest window.
func (s *series) addLife(n int32, amount int64) {
	s.n[life] += n
	if amount != 0 {
		if s.money == nil {
			s.money = &earned{by: make([]int64, len(s.entries), cap(s.entries))}
		}
		s.money.sums[life] += amount
	}
}
