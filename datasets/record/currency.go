package record

import "strings"

// currencies are the active ISO 4217 codes with the number of digits of their
// minor unit where it is not 2 (source: ISO 4217 list one).
const currencies = `AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD3 BIF0 BMD BND BOB BRL BSD BTN BWP BYN BZD
CAD CDF CHF CLP0 CNY COP CRC CUP CVE CZK DJF0 DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF0 GTQ GYD HKD
HNL HTG HUF IDR ILS INR IQD3 IRR ISK0 JMD JOD3 JPY0 KES KGS KHR KMF0 KPW KRW0 KWD3 KYD KZT LAK LBP LKR LRD LSL LYD3 MAD
MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR3 PAB PEN PGK PHP PKR PLN PYG0 QAR RON
RSD RUB RWF0 SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND3 TOP TRY TTD TWD TZS UAH UGX0
USD UYU UZS VED VES VND0 VUV0 WST XAF0 XCD XCG XOF0 XPF0 YER ZAR ZMW ZWG`

var minorDigits = func() map[string]int {
	m := map[string]int{}
	for _, c := range strings.Fields(currencies) {
		digits := 2
		if len(c) == 4 {
			digits = int(c[3] - '0')
		}
		m[c[:3]] = digits
	}
	return m
}()

func validCurrency(code string) bool {
	_, ok := minorDigits[code]
	return ok
}

// MinorDigits returns how many digits after the decimal point a currency's
// minor unit stands for (2 for EUR, 0 for JPY), and whether the code is known.
func MinorDigits(code string) (digits int, ok bool) {
	digits, ok = minorDigits[code]
	return digits, ok
}
