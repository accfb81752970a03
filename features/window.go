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

// sums are the counts and amounts of one series over each window and life.
type sums struct {
	n, amount [windows + 1]int64
}

// entry is how often something happened on one day.
type entry struct {
	day day
	n   int32
}

// series is the daily history of one thing over the longest window: the days on
// which it happened, ascending. Its sums move with it: from[w] is the first
// entry inside window w as of the day the series was last rolled to.
type series struct {
	entries []entry
	sums
	amounts []int64 // beside entries; nil while every amount is 0
	from    [windows]int32
}

// endOfTime is later than any day of a record.
const endOfTime = day(1 << 30)

// roll moves the sums on to today, and returns the next day on which anything
// leaves a window; rolling before that day changes nothing.
func (s *series) roll(today day) (due day) {
	n := int32(len(s.entries))
	due = endOfTime
	for w, days := range windowDays {
		i := s.from[w]
		for i < n && s.entries[i].day <= today-days {
			s.n[w] -= int64(s.entries[i].n)
			if s.amounts != nil {
				s.amount[w] -= s.amounts[i]
			}
			i++
		}
		s.from[w] = i
		if i < n {
			due = min(due, s.entries[i].day+days)
		}
	}
	s.compact()
	return due
}

// compact drops what has left the longest window once it is most of the memory.
func (s *series) compact() {
	out := s.from[w364]
	if out < 16 || 2*int(out) < len(s.entries) {
		return
	}
	s.entries = slices.Clone(s.entries[out:])
	if s.amounts != nil {
		s.amounts = slices.Clone(s.amounts[out:])
	}
	for w := range s.from {
		s.from[w] -= out
	}
}

// add counts n more on a day not after today, the day s was rolled to. Negative
// n takes back what was added before. It returns the day on which this leaves
// its first window.
func (s *series) add(today, on day, n int32, amount int64) (due day) {
	s.n[life] += int64(n)
	if amount != 0 {
		s.amount[life] += amount
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
	if amount != 0 && s.amounts == nil {
		s.amounts = make([]int64, len(s.entries), cap(s.entries))
	}
	if s.amounts != nil {
		s.amounts[i-1] += amount
	}
	due = endOfTime
	for w, days := range windowDays {
		if on > today-days {
			s.n[w] += int64(n)
			due = min(due, on+days)
		}
	}
	if amount != 0 { // apart, because most have none and memory is slow
		for w, days := range windowDays {
			if on > today-days {
				s.amount[w] += amount
			}
		}
	}
	return due
}

func (s *series) insert(i int, on, today day) {
	s.entries = slices.Insert(s.entries, i, entry{day: on})
	if s.amounts != nil {
		s.amounts = slices.Insert(s.amounts, i, 0)
	}
	for w, days := range windowDays {
		if on <= today-days {
			s.from[w]++
		}
	}
}

// sumsAt adds up the windows as of another day than the one s was rolled to:
// the plain way, for rows of a partner that nothing has rolled.
func (s *series) sumsAt(today day) sums {
	var t sums
	t.n[life], t.amount[life] = s.n[life], s.amount[life]
	for i, e := range s.entries {
		for w, days := range windowDays {
			if e.day > today-days && e.day <= today {
				t.n[w] += int64(e.n)
				if s.amounts != nil {
					t.amount[w] += s.amounts[i]
				}
			}
		}
	}
	return t
}

// absorb adds another series, rolled to the same day; it returns what add does.
func (s *series) absorb(today day, o *series) (due day) {
	due = endOfTime
	n, rest := o.n[life], o.amount[life]
	for i, e := range o.entries {
		if e.day <= today-windowDays[w364] {
			continue
		}
		amount := int64(0)
		if o.amounts != nil {
			amount = o.amounts[i]
		}
		due = min(due, s.add(today, e.day, e.n, amount))
		n -= int64(e.n)
		rest -= amount
	}
	s.n[life] += n
	s.amount[life] += rest
	return due
}
