// Package picture draws small charts as SVG, with gonum/plot, which is imported
// nowhere else.
//
// A picture stands by itself: its background is painted, so it can be read on a
// page of any colour, and where the reader's system is dark it turns dark with
// its hues kept. The bytes depend on what is drawn alone.
package picture

import (
	"bytes"
	"fmt"
	"html"
	"image/color"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Point is a place in a panel.
type Point struct{ X, Y float64 }

// Span is a stretch of Y at X.
type Span struct{ X, Lo, Hi float64 }

// Panel is one chart. What is empty is not drawn; points that are not finite,
// and on a logarithmic axis those not above 0, are left out.
type Panel struct {
	Title, X, Y string
	LogX        bool
	Dots        []Point
	Line        []Point
	Band        []Span    // shaded, behind the line; with Names as bars of error
	Marked      []Point   // in another colour, larger
	Names       []string  // of the places 0, 1, … on X, where X is no number
	Bars        []float64 // lengths of horizontal bars; Names name them, the first on top
}

// Size of a panel, in points.
const (
	panelWidth  = 210
	panelHeight = 170
	titleRoom   = 26
)

var (
	ink    = color.NRGBA{0x33, 0x33, 0x33, 0xff}
	faint  = color.NRGBA{0xe2, 0xe2, 0xe2, 0xff}
	blue   = color.NRGBA{0x1f, 0x6f, 0xeb, 0xff}
	cloud  = color.NRGBA{0xcf, 0xe0, 0xfb, 0xff}
	orange = color.NRGBA{0xd9, 0x5f, 0x02, 0xff}
)

// SVG draws panels in rows of so many columns under one title: at least one, and
// no more than there are panels.
func SVG(title string, columns int, panels []Panel) ([]byte, error) {
	columns = max(1, min(columns, len(panels)))
	rows := (len(panels) + columns - 1) / columns
	w, h := vg.Length(panelWidth*columns), vg.Length(panelHeight*rows+titleRoom)
	c := vgsvg.New(w, h)
	all := draw.New(c)
	all.SetColor(color.White)
	all.Fill(all.Rectangle.Path())
	all.FillText(textStyle(11), vg.Point{X: 10, Y: h - titleRoom + 6}, title)
	for i, p := range panels {
		drawn, err := p.plot()
		if err != nil {
			return nil, fmt.Errorf("picture %s, %s: %w", title, p.Title, err)
		}
		left, top := vg.Length(panelWidth*(i%columns)), h-titleRoom-vg.Length(panelHeight*(i/columns))
		drawn.Draw(draw.Canvas{Canvas: c, Rectangle: vg.Rectangle{
			Min: vg.Point{X: left + 6, Y: top - panelHeight + 6}, Max: vg.Point{X: left + panelWidth - 10, Y: top - 4}}})
	}
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return nil, err
	}
	return dressed(b.Bytes(), title), nil
}

// Dark is the style element that turns a light picture dark for readers whose
// system is: lightness reversed, hues turned back.
const Dark = `<style>@media (prefers-color-scheme: dark) { svg { filter: invert(.9) hue-rotate(180deg) } }</style>`

// dressed adds the title that programs read aloud, the dark form, and fonts for
// those who lack the one the text was measured in.
func dressed(svg []byte, title string) []byte {
	svg = bytes.ReplaceAll(svg, []byte("font-family:Liberation Sans;"), []byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;"))
	at := bytes.Index(svg, []byte("<svg"))
	end := at + bytes.IndexByte(svg[at:], '>') + 1
	head := fmt.Sprintf("\n<title>%s</title>\n%s", html.EscapeString(title), Dark)
	return bytes.Join([][]byte{svg[at:end], []byte(head), svg[end:]}, nil)
}

func textStyle(size float64) draw.TextStyle {
	s := plot.New().Title.TextStyle
	s.Font = font.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Length(size)}
	s.Color = ink
	s.XAlign, s.YAlign = draw.XLeft, draw.YBottom
	return s
}

func (p *Panel) plot() (*plot.Plot, error) {
	out := plot.New()
	out.Title.Text, out.X.Label.Text, out.Y.Label.Text = p.Title, p.X, p.Y
	for _, s := range []*draw.TextStyle{&out.Title.TextStyle, &out.X.Label.TextStyle, &out.Y.Label.TextStyle, &out.X.Tick.Label, &out.Y.Tick.Label} {
		s.Font.Variant, s.Font.Size, s.Color = "Sans", 8, ink
	}
	out.Title.TextStyle.Font.Size = 9
	for _, a := range []*plot.Axis{&out.X, &out.Y} {
		a.LineStyle.Color, a.Tick.LineStyle.Color, a.Tick.Marker = faint, faint, plot.TickerFunc(ticks)
	}
	if p.LogX {
		out.X.Scale, out.X.Tick.Marker = plot.LogScale{}, plot.TickerFunc(logTicks)
	}
	if p.Bars != nil {
		return out, p.bars(out)
	}
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = faint, faint
	out.Add(grid)
	if err := p.marks(out); err != nil {
		return nil, err
	}
	if p.Names != nil {
		out.NominalX(p.Names...)
		out.X.Tick.Label.Rotation, out.X.Tick.Label.XAlign, out.X.Tick.Label.YAlign = math.Pi/5, draw.XRight, draw.YCenter
	}
	widen(&out.X, p.LogX)
	widen(&out.Y, false)
	return out, nil
}

// widen gives an axis of one value some room.
func widen(a *plot.Axis, log bool) {
	switch {
	case math.IsInf(a.Min, 0) || math.IsInf(a.Max, 0):
		a.Min, a.Max = 1, 2
	case a.Min < a.Max:
	case log:
		a.Min, a.Max = a.Min/2, a.Max*2
	default:
		room := max(math.Abs(a.Min)/10, 1e-6)
		a.Min, a.Max = a.Min-room, a.Max+room
	}
}

func (p *Panel) drawable(points []Point) plotter.XYs {
	out := plotter.XYs{}
	for _, q := range points {
		if finite(q.X) && finite(q.Y) && (!p.LogX || q.X > 0) {
			out = append(out, plotter.XY(q))
		}
	}
	return out
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// marks adds band, line, dots and marked dots, one over the other.
func (p *Panel) marks(out *plot.Plot) error {
	if err := p.band(out); err != nil {
		return err
	}
	if xy := p.drawable(p.Line); len(xy) > 0 {
		line, err := plotter.NewLine(xy)
		if err != nil {
			return err
		}
		line.Color, line.Width = blue, 1.2
		out.Add(line)
	}
	for _, group := range []struct {
		points []Point
		color  color.Color
		radius vg.Length
	}{{p.Dots, blue, 1.8}, {p.Marked, orange, 3}} {
		xy := p.drawable(group.points)
		if len(xy) == 0 {
			continue
		}
		dots, err := plotter.NewScatter(xy)
		if err != nil {
			return err
		}
		dots.GlyphStyle = draw.GlyphStyle{Color: group.color, Radius: group.radius, Shape: draw.CircleGlyph{}}
		out.Add(dots)
	}
	return nil
}

func (p *Panel) band(out *plot.Plot) error {
	low, high, middle := plotter.XYs{}, plotter.XYs{}, plotter.XYs{}
	errs := plotter.YErrors{}
	for _, s := range p.Band {
		if !finite(s.X) || !finite(s.Lo) || !finite(s.Hi) || p.LogX && s.X <= 0 {
			continue
		}
		low, high = append(low, plotter.XY{X: s.X, Y: s.Lo}), append(high, plotter.XY{X: s.X, Y: s.Hi})
		middle = append(middle, plotter.XY{X: s.X, Y: (s.Lo + s.Hi) / 2})
		errs = append(errs, struct{ Low, High float64 }{(s.Hi - s.Lo) / 2, (s.Hi - s.Lo) / 2})
	}
	if len(low) == 0 {
		return nil
	}
	if p.Names != nil {
		bars, err := plotter.NewYErrorBars(struct {
			plotter.XYer
			plotter.YErrorer
		}{middle, errs})
		if err != nil {
			return err
		}
		bars.Color = blue
		out.Add(bars)
		return nil
	}
	for i := len(high) - 1; i >= 0; i-- {
		low = append(low, high[i])
	}
	area, err := plotter.NewPolygon(low)
	if err != nil {
		return err
	}
	area.Color, area.LineStyle.Width = cloud, 0
	out.Add(area)
	return nil
}

// bars draws lengths with the first on top.
func (p *Panel) bars(out *plot.Plot) error {
	n := len(p.Bars)
	lengths, names := make(plotter.Values, n), make([]string, n)
	for i, v := range p.Bars {
		if !finite(v) {
			v = 0
		}
		lengths[n-1-i], names[n-1-i] = v, p.Names[i]
	}
	bars, err := plotter.NewBarChart(lengths, 8)
	if err != nil {
		return err
	}
	bars.Horizontal, bars.Color, bars.LineStyle.Width = true, blue, 0
	out.Add(bars)
	out.NominalY(names...)
	out.X.Min = min(0, out.X.Min)
	widen(&out.X, false)
	return nil
}

// ticks are some four round numbers.
func ticks(lo, hi float64) []plot.Tick {
	step := math.Pow(10, math.Floor(math.Log10((hi-lo)/3)))
	for _, by := range []float64{5, 2} {
		if (hi-lo)/(step*by) >= 2.5 {
			step *= by
			break
		}
	}
	var out []plot.Tick
	for k := math.Ceil(lo / step); k*step <= hi; k++ {
		out = append(out, tick(k*step, step))
	}
	return out
}

// logTicks are 1, 2 and 5 times the powers of ten.
func logTicks(lo, hi float64) []plot.Tick {
	var out []plot.Tick
	for e := math.Floor(math.Log10(lo)); e <= math.Log10(hi); e++ {
		for _, by := range []float64{1, 2, 5} {
			if v := by * math.Pow(10, e); v >= lo*(1-1e-9) && v <= hi*(1+1e-9) {
				out = append(out, tick(v, v))
			}
		}
	}
	return out
}

// tick is labelled as exactly as the distance to the next needs.
func tick(v, step float64) plot.Tick {
	digits := max(0, int(math.Ceil(-math.Log10(step)-1e-9)))
	if math.Abs(v) < step/1e6 {
		v = 0
	}
	if a := math.Abs(v); a >= 1e5 || digits > 6 {
		return plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'g', 3, 64)}
	}
	return plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'f', digits, 64)}
}
