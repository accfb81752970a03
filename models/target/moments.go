package target

// Moments are the sums from which Strength can be told without the groups: they
// can be kept up to date one group at a time.
type Moments struct {
	K      float64 // groups with anything counted
	N, Pos float64 // over all groups
	N2     float64 // sum of N squared
	Pos2N  float64 // sum of Pos squared / N
}

// Strength is Strength of the groups the moments were summed over.
func (m Moments) Strength() float64 {
	if m.K < 2 || m.Pos <= 0 || m.Pos >= m.N {
		return MaxStrength
	}
	rate := m.Pos / m.N
	room := m.N - m.N2/m.N - (m.K - 1)
	if room <= 0 {
		return MaxStrength
	}
	rho := ((m.Pos2N-rate*m.Pos)/(rate*(1-rate)) - (m.K - 1)) / room
	if !(rho > 1/(MaxStrength+1)) {
		return MaxStrength
	}
	return max(MinStrength, 1/rho-1)
}
