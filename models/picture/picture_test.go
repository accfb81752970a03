package picture_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"bellwether/models/picture"
)

var panels = []picture.Panel{
	{Title: "loss & leaves", X: "leaves", Y: "loss", LogX: true, Dots: []picture.Point{{7, .41}, {31, .40}, {127, .42}, {0, .4}, {20, math.NaN()}}, Marked: []picture.Point{{31, .40}}},
	{Title: "by amount", Line: []picture.Point{{0, .1}, {1, .2}, {2, .4}}, Band: []picture.Span{{0, .05, .15}, {1, .1, .3}, {2, .2, .6}}},
	{Title: "by region", Names: []string{"north", "south"}, Dots: []picture.Point{{0, .2}, {1, .3}}, Band: []picture.Span{{0, .1, .3}, {1, .2, .4}}},
	{Title: "importance", Names: []string{"leaves", "rate"}, Bars: []float64{.6, .3}},
	{Title: "one value", Dots: []picture.Point{{3, 3}}},
	{Title: "nothing"},
}

// A picture is one XML document with everything asked for in it, in light and
// dark, and the same bytes each time.
func TestSVG(t *testing.T) {
	svg, err := picture.SVG("a < b", 3, panels)
	if err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("not XML: %v\n%s", err, svg)
		}
	}
	text := string(svg)
	for _, want := range []string{"<title>a &lt; b</title>", "loss &amp; leaves", "north", "importance", "prefers-color-scheme: dark"} {
		if !strings.Contains(text, want) {
			t.Errorf("the picture lacks %q", want)
		}
	}
	if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Error("a number that is none was drawn")
	}
	if len(svg) > 60_000 {
		t.Errorf("%d bytes for six small panels", len(svg))
	}
	again, err := picture.SVG("a < b", 3, panels)
	if err != nil || !bytes.Equal(svg, again) {
		t.Errorf("other bytes the second time, %v", err)
	}
}
