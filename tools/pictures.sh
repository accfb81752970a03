#!/bin/sh
# Pictures of the pages for docs/pictures, taken of the demo's world on a loopback
# address with headless Chromium (BROWSER, or chromium of the PATH).
#
# usage: tools/pictures.sh
set -eu
cd "$(dirname "$0")/.."
browser=${BROWSER:-chromium}
command -v "$browser" >/dev/null || { echo "pictures.sh: $browser is not there: install Chromium or set BROWSER" >&2; exit 1; }
command -v curl >/dev/null || { echo "pictures.sh: curl is not there" >&2; exit 1; }

tmp=$(mktemp -d)
server=
finish() {
	[ -z "$server" ] || kill "$server" 2>/dev/null || :
	[ -z "$server" ] || wait "$server" 2>/dev/null || :
	rm -rf "$tmp"
}
trap finish EXIT
trap 'exit 1' INT TERM

go build -o "$tmp/bellwether" ./cmd/bellwether
"$tmp/bellwether" demo --http 127.0.0.1:0 --dir "$tmp/demo" >/dev/null 2>"$tmp/log" &
server=$!
site=
while [ -z "$site" ]; do
	kill -0 "$server" 2>/dev/null || { cat "$tmp/log" >&2; exit 1; }
	sleep 1
	site=$(sed -n 's|.*Try a lead at \(http://[^ ]*\)/ .*|\1|p' "$tmp/log")
done
until curl -sf -o /dev/null "$site/at-risk"; do sleep 1; done

# picture NAME ADDRESS WIDTH HEIGHT
picture() {
	"$browser" --headless --no-sandbox --disable-gpu --hide-scrollbars --disable-background-networking --disable-component-update \
		--disable-sync --no-first-run --no-default-browser-check --user-data-dir="$tmp/profile-$1" --window-size="$3,$4" \
		--screenshot="$tmp/$1.png" "$2" >/dev/null 2>&1
	[ -s "$tmp/$1.png" ] || { echo "pictures.sh: no picture of $2" >&2; exit 1; }
}

# first NAME: the first text of that name in JSON on standard input.
first() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" | head -n 1; }

# Chromium cannot be told to send a form: the answer is kept, with the address its
# style comes from.
curl -sf "$site/try" --data-urlencode industry=retail --data-urlencode region=France --data-urlencode products=analytics \
	-d need=implementation -d value=25000 -d currency=EUR -d language=fr -d do=preview |
	sed "s|<head>|<head><base href=\"$site/\">|" >"$tmp/tried.html"
decision=$(curl -sf "$site/v1/route" -d '{"lead": {"id": "lead-17", "industry": "finance", "place": {"region": "DACH"},
	"products": ["analytics"], "value": {"amount": "4500000", "currency": "EUR"}}}' | tr ',' '\n' | first id)
partner=$(curl -sf "$site/v1/reports/at-risk?page_size=1" | tr ',' '\n' | first partner)

picture start "file://$tmp/tried.html" 1100 930
picture decision "$site/decisions/$decision" 1100 1400
picture at-risk "$site/at-risk" 1100 800
picture partner "$site/partners/$partner" 1100 1200
picture models "$site/models" 1100 290
# Chromium's windows are no narrower than 500 pixels: a phone is a frame in one.
echo "<body style='margin: 0; background: #888; text-align: center'><iframe src='tried.html' width='390' height='844' style='border: 0'></iframe>" >"$tmp/phone.html"
picture phone "file://$tmp/phone.html" 500 844

mkdir -p docs/pictures
for name in start decision at-risk partner models phone; do
	mv "$tmp/$name.png" "docs/pictures/$name.png"
done
ls -l docs/pictures
