package trial

import (
	"bytes"
	"fmt"
	"html"
	"math"

	"bellwether/models/picture"
)

// Size of the picture and of the square inside it, in pixels.
const (
	pictureSide   = 360
	pictureMargin = 48
	plotSide      = pictureSide - 2*pictureMargin
)

// ReliabilitySVG draws the winner's reliability on the test slice: for each bin
// of rows the mean probability against the share that came true, with its 95 %
// interval. On the diagonal the probabilities mean what they say. The axes end
// at a round number above all of them. The bytes depend on the figures alone.
func (r *Report) ReliabilitySVG() []byte {
	top := 0.05
	for _, b := range r.Reliability {
		top = max(top, float64(b.Predicted), float64(b.Hi))
	}
	step := axisStep(top)
	top = min(1, math.Ceil(top/step-1e-9)*step)
	at := func(x, y float64) (float64, float64) {
		return pictureMargin + x/top*plotSide, pictureSide - pictureMargin - y/top*plotSide
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" font-family="sans-serif" font-size="11">`+"\n", pictureSide, pictureSide, pictureSide, pictureSide)
	fmt.Fprintf(&b, "<title>Reliability of %s, %s: ECE %s on %d rows</title>\n", html.EscapeString(r.Task), html.EscapeString(r.Winner), figure(r.Test.ECE), r.Test.Rows)
	fmt.Fprintf(&b, picture.Dark+"\n"+`<rect width="%d" height="%d" fill="#fff"/>`+"\n", pictureSide, pictureSide)
	for k := 0; float64(k)*step <= top+1e-9; k++ {
		v := float64(k) * step
		x0, y := at(0, v)
		x1, _ := at(top, v)
		fmt.Fprintf(&b, `<path d="M%.1f %.1fH%.1f" stroke="#ddd"/><text x="%.1f" y="%.1f" text-anchor="end">%.3g</text>`+"\n", x0, y, x1, x0-6, y+4, v)
		x, y0 := at(v, 0)
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="middle">%.3g</text>`+"\n", x, y0+16, v)
	}
	x0, y0 := at(0, 0)
	x1, y1 := at(top, top)
	fmt.Fprintf(&b, `<path d="M%.1f %.1fL%.1f %.1f" stroke="#999" stroke-dasharray="4 3"/>`+"\n", x0, y0, x1, y1)
	line := ""
	for i, bin := range r.Reliability {
		x, y := at(float64(bin.Predicted), float64(bin.Observed))
		_, lo := at(0, float64(bin.Lo))
		_, hi := at(0, float64(bin.Hi))
		fmt.Fprintf(&b, `<path d="M%.1f %.1fV%.1f" stroke="#1f6feb" stroke-opacity=".5"/><circle cx="%.1f" cy="%.1f" r="3.5" fill="#1f6feb"><title>%d rows: predicted %.3f, observed %.3f</title></circle>`+"\n",
			x, lo, hi, x, y, bin.Rows, float64(bin.Predicted), float64(bin.Observed))
		line += fmt.Sprintf("%c%.1f %.1f", "ML"[min(i, 1)], x, y)
	}
	if line != "" {
		fmt.Fprintf(&b, `<path d="%s" fill="none" stroke="#1f6feb"/>`+"\n", line)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">predicted probability</text>`+"\n", pictureSide/2, pictureSide-8)
	fmt.Fprintf(&b, `<text x="14" y="%d" text-anchor="middle" transform="rotate(-90 14 %d)">share that came true</text>`+"\n", pictureSide/2, pictureSide/2)
	fmt.Fprintf(&b, `<text x="%d" y="24" text-anchor="middle" font-size="13">%s: %s, ECE %s, %d rows</text>`+"\n</svg>\n", pictureSide/2, html.EscapeString(r.Task), html.EscapeString(r.Winner), figure(r.Test.ECE), r.Test.Rows)
	return b.Bytes()
}

// axisStep is the distance of grid lines: 4 to 10 of them.
func axisStep(top float64) float64 {
	for _, s := range []float64{0.01, 0.02, 0.05, 0.1} {
		if top/s <= 8 {
			return s
		}
	}
	return 0.2
}
