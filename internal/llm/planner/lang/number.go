package lang

import (
	"math"
	"strconv"
	"strings"
)

var units = map[string]int{
	"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
	"eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18,
	"nineteen": 19, "dozen": 12,
}

var tens = map[string]int{
	"twenty": 20, "thirty": 30, "forty": 40, "fourty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}

var ordinals = map[string]int{
	"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10,
	"eleventh": 11, "twelfth": 12, "thirteenth": 13, "fourteenth": 14, "fifteenth": 15, "twentieth": 20, "thirtieth": 30,
}

// Int reads a whole number at toks[i]: 5, five, twenty-one, a hundred, a couple of, half a dozen, minus two. It answers the
// number and how many tokens it took, zero for none.
func Int(toks []Token, i int) (n, used int) {
	at := func(k int) string {
		if k < len(toks) && (toks[k].Wordy() || toks[k].Kind == Punct) {
			return toks[k].Low
		}
		return ""
	}
	switch at(i) {
	case "minus", "negative", "-":
		if v, k := Int(toks, i+1); k > 0 && (at(i) != "-" || at(i+1) != "a") {
			return -v, k + 1
		}
		return 0, 0
	case "half":
		if at(i+1) == "a" && at(i+2) == "dozen" {
			return 6, 3
		}
		return 0, 0
	case "a", "an":
		v, ok := map[string]int{"couple": 2, "pair": 2, "few": 3, "dozen": 12, "hundred": 100, "single": 1, "thousand": 1000, "trio": 3}[at(i+1)]
		if !ok {
			return 0, 0
		}
		if at(i+2) == "of" {
			return v, 3
		}
		return v, 2
	case "couple", "pair", "few", "trio":
		if at(i+1) == "of" {
			return map[string]int{"couple": 2, "pair": 2, "few": 3, "trio": 3}[at(i)], 2
		}
		return 0, 0
	}
	if i >= len(toks) {
		return 0, 0
	}
	if toks[i].Kind == Number {
		v, err := strconv.ParseFloat(strings.ReplaceAll(strings.TrimSuffix(toks[i].Text, "%"), ",", ""), 64)
		if err != nil || v != math.Trunc(v) || math.Abs(v) > 1e9 {
			return 0, 0
		}
		n, used = int(v), 1
		if at(i+1) == "dozen" {
			return n * 12, 2
		}
		return n, 1
	}
	if n, used = words(toks, i); used > 0 {
		switch at(i + used) {
		case "hundred":
			n, used = n*100, used+1
			if at(i+used) == "and" {
				if v, k := words(toks, i+used+1); k > 0 {
					return n + v, used + 1 + k
				}
			} else if v, k := words(toks, i+used); k > 0 {
				return n + v, used + k
			}
		case "dozen":
			n, used = n*12, used+1
		}
	}
	return n, used
}

// words reads a number word below one hundred.
func words(toks []Token, i int) (int, int) {
	if i >= len(toks) || !toks[i].Wordy() {
		return 0, 0
	}
	w := toks[i].Low
	if v, ok := units[w]; ok {
		return v, 1
	}
	if a, b, found := strings.Cut(w, "-"); found && tens[a] > 0 && units[b] > 0 {
		return tens[a] + units[b], 1
	}
	if t := tens[w]; t > 0 {
		if i+1 < len(toks) && toks[i+1].Wordy() {
			if v, ok := units[toks[i+1].Low]; ok && v > 0 && v < 10 {
				return t + v, 2
			}
		}
		return t, 1
	}
	return 0, 0
}

// Ordinal reads first, 2nd, twenty-first; zero for none. "last" is -1, "second to last" is not read here.
func Ordinal(t Token) int {
	if !t.Wordy() {
		return 0
	}
	if n := ordinals[t.Low]; n > 0 {
		return n
	}
	if t.Low == "last" || t.Low == "final" {
		return -1
	}
	if a, b, found := strings.Cut(t.Low, "-"); found && tens[a] > 0 && ordinals[b] > 0 && ordinals[b] < 10 {
		return tens[a] + ordinals[b]
	}
	for _, end := range []string{"st", "nd", "rd", "th"} {
		if digits, ok := strings.CutSuffix(t.Low, end); ok {
			if n, err := strconv.Atoi(digits); err == nil && n > 0 && n < 10000 {
				return n
			}
		}
	}
	return 0
}

// Times reads once, twice, thrice, 3 times, five times at toks[i].
func Times(toks []Token, i int) (n, used int) {
	if i >= len(toks) || !toks[i].Wordy() {
		return 0, 0
	}
	if n = map[string]int{"once": 1, "twice": 2, "thrice": 3}[toks[i].Low]; n > 0 {
		return n, 1
	}
	if n, used = Int(toks, i); used > 0 && i+used < len(toks) && toks[i+used].Is("times", "time") {
		return n, used + 1
	}
	return 0, 0
}

var sizeUnits = map[string]float64{
	"b": 1, "byte": 1, "kb": 1e3, "kib": 1 << 10, "kilobyte": 1e3, "k": 1 << 10, "mb": 1 << 20, "mib": 1 << 20, "meg": 1 << 20,
	"megabyte": 1 << 20, "m": 1 << 20, "mebibyte": 1 << 20, "gb": 1 << 30, "gib": 1 << 30, "gig": 1 << 30, "gigabyte": 1 << 30,
	"g": 1 << 30, "gibibyte": 1 << 30, "tb": 1 << 40, "tib": 1 << 40, "terabyte": 1 << 40,
}

// Size reads an amount of memory at toks[i] in MiB, as computers count: 384 MB, 2GB, half a gigabyte, minus two gigabytes.
// ok is false when there is none.
func Size(toks []Token, i int) (mib float64, used int, ok bool) {
	if i >= len(toks) || !toks[i].Wordy() && !toks[i].Is("-") {
		return 0, 0, false
	}
	text := toks[i].Low
	split := strings.IndexFunc(text, func(r rune) bool { return r != '-' && r != '.' && (r < '0' || r > '9') })
	if split > 0 && toks[i].Kind == Ident {
		v, err := strconv.ParseFloat(text[:split], 64)
		if unit := sizeUnits[Singular(text[split:])]; err == nil && unit > 0 {
			return v * unit / (1 << 20), 1, true
		}
		return 0, 0, false
	}
	unitAt := func(k int) float64 {
		if k < len(toks) && toks[k].Wordy() {
			return sizeUnits[Singular(toks[k].Low)]
		}
		return 0
	}
	if text == "half" && i+1 < len(toks) && toks[i+1].Is("a") && unitAt(i+2) > 0 {
		return unitAt(i+2) / 2 / (1 << 20), 3, true
	}
	if toks[i].Is("a", "one") && unitAt(i+1) > 0 {
		return unitAt(i+1) / (1 << 20), 2, true
	}
	if v, err := strconv.ParseFloat(text, 64); err == nil && toks[i].Kind == Number {
		if unit := unitAt(i + 1); unit > 0 {
			return v * unit / (1 << 20), 2, true
		}
		return 0, 0, false
	}
	if n, k := Int(toks, i); k > 0 && unitAt(i+k) > 0 {
		return float64(n) * unitAt(i+k) / (1 << 20), k + 1, true
	}
	return 0, 0, false
}
