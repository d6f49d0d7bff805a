package lang

import (
	"strings"
	"time"
	_ "time/tzdata" // zones must be known on machines without a zone database
)

// cities names zones by cities, countries and habits that the zone database does not have as a name of its own.
var cities = map[string]string{
	"new york": "America/New_York", "nyc": "America/New_York", "boston": "America/New_York", "washington": "America/New_York",
	"miami": "America/New_York", "atlanta": "America/New_York", "philadelphia": "America/New_York", "eastern": "America/New_York",
	"us eastern": "America/New_York", "east coast": "America/New_York", "us east": "America/New_York", "montreal": "America/Toronto",
	"san francisco": "America/Los_Angeles", "los angeles": "America/Los_Angeles", "la": "America/Los_Angeles", "seattle": "America/Los_Angeles",
	"california": "America/Los_Angeles", "pacific": "America/Los_Angeles", "us pacific": "America/Los_Angeles", "sf": "America/Los_Angeles",
	"west coast": "America/Los_Angeles", "san diego": "America/Los_Angeles", "portland": "America/Los_Angeles", "las vegas": "America/Los_Angeles",
	"central": "America/Chicago", "us central": "America/Chicago", "dallas": "America/Chicago", "houston": "America/Chicago",
	"austin": "America/Chicago", "texas": "America/Chicago", "mountain": "America/Denver", "us mountain": "America/Denver",
	"arizona": "America/Phoenix", "hawaii": "Pacific/Honolulu", "mexico": "America/Mexico_City", "rio": "America/Sao_Paulo",
	"rio de janeiro": "America/Sao_Paulo", "são paulo": "America/Sao_Paulo", "brazil": "America/Sao_Paulo", "argentina": "America/Argentina/Buenos_Aires",
	"buenos aires": "America/Argentina/Buenos_Aires", "chile": "America/Santiago", "peru": "America/Lima", "colombia": "America/Bogota",
	"uk": "Europe/London", "british": "Europe/London", "england": "Europe/London", "manchester": "Europe/London", "edinburgh": "Europe/London",
	"ireland": "Europe/Dublin", "france": "Europe/Paris", "germany": "Europe/Berlin", "german": "Europe/Berlin", "munich": "Europe/Berlin",
	"münchen": "Europe/Berlin", "hamburg": "Europe/Berlin", "frankfurt": "Europe/Berlin", "cologne": "Europe/Berlin", "köln": "Europe/Berlin",
	"spain": "Europe/Madrid", "barcelona": "Europe/Madrid", "italy": "Europe/Rome", "milan": "Europe/Rome", "austria": "Europe/Vienna",
	"switzerland": "Europe/Zurich", "swiss": "Europe/Zurich", "zürich": "Europe/Zurich", "geneva": "Europe/Zurich", "bern": "Europe/Zurich",
	"netherlands": "Europe/Amsterdam", "dutch": "Europe/Amsterdam", "rotterdam": "Europe/Amsterdam", "belgium": "Europe/Brussels",
	"portugal": "Europe/Lisbon", "porto": "Europe/Lisbon", "poland": "Europe/Warsaw", "kraków": "Europe/Warsaw", "krakow": "Europe/Warsaw",
	"czech": "Europe/Prague", "sweden": "Europe/Stockholm", "norway": "Europe/Oslo", "denmark": "Europe/Copenhagen", "finland": "Europe/Helsinki",
	"greece": "Europe/Athens", "turkey": "Europe/Istanbul", "ankara": "Europe/Istanbul", "ukraine": "Europe/Kyiv", "kiev": "Europe/Kyiv",
	"romania": "Europe/Bucharest", "hungary": "Europe/Budapest", "serbia": "Europe/Belgrade", "russia": "Europe/Moscow", "st petersburg": "Europe/Moscow",
	"india": "Asia/Kolkata", "indian": "Asia/Kolkata", "mumbai": "Asia/Kolkata", "delhi": "Asia/Kolkata", "new delhi": "Asia/Kolkata",
	"bangalore": "Asia/Kolkata", "bengaluru": "Asia/Kolkata", "chennai": "Asia/Kolkata", "hyderabad": "Asia/Kolkata", "pune": "Asia/Kolkata",
	"china": "Asia/Shanghai", "beijing": "Asia/Shanghai", "shenzhen": "Asia/Shanghai", "guangzhou": "Asia/Shanghai", "japan": "Asia/Tokyo",
	"osaka": "Asia/Tokyo", "kyoto": "Asia/Tokyo", "korea": "Asia/Seoul", "busan": "Asia/Seoul", "taiwan": "Asia/Taipei", "vietnam": "Asia/Ho_Chi_Minh",
	"hanoi": "Asia/Bangkok", "saigon": "Asia/Ho_Chi_Minh", "thailand": "Asia/Bangkok", "philippines": "Asia/Manila", "indonesia": "Asia/Jakarta",
	"bali": "Asia/Makassar", "malaysia": "Asia/Kuala_Lumpur", "pakistan": "Asia/Karachi", "lahore": "Asia/Karachi", "islamabad": "Asia/Karachi",
	"bangladesh": "Asia/Dhaka", "nepal": "Asia/Kathmandu", "uae": "Asia/Dubai", "abu dhabi": "Asia/Dubai", "saudi": "Asia/Riyadh",
	"israel": "Asia/Jerusalem", "tel aviv": "Asia/Jerusalem", "egypt": "Africa/Cairo", "kenya": "Africa/Nairobi", "nigeria": "Africa/Lagos",
	"ghana": "Africa/Accra", "south africa": "Africa/Johannesburg", "cape town": "Africa/Johannesburg", "morocco": "Africa/Casablanca",
	"canberra": "Australia/Sydney", "new zealand": "Pacific/Auckland", "wellington": "Pacific/Auckland", "iceland": "Atlantic/Reykjavik",
	"central european": "Europe/Berlin", "eastern european": "Europe/Athens", "western european": "Europe/Lisbon",
	"utc": "UTC", "gmt": "UTC", "zulu": "UTC", "universal": "UTC", "greenwich": "UTC", "greenwich mean": "UTC", "coordinated universal": "UTC",
	"cet": "Europe/Berlin", "cest": "Europe/Berlin", "bst": "Europe/London", "eet": "Europe/Athens", "est": "America/New_York",
	"edt": "America/New_York", "cst": "America/Chicago", "cdt": "America/Chicago", "mst": "America/Denver", "mdt": "America/Denver",
	"pst": "America/Los_Angeles", "pdt": "America/Los_Angeles", "jst": "Asia/Tokyo", "ist": "Asia/Kolkata", "kst": "Asia/Seoul",
	"hkt": "Asia/Hong_Kong", "sgt": "Asia/Singapore", "aest": "Australia/Sydney", "aedt": "Australia/Sydney", "acst": "Australia/Adelaide",
	"awst": "Australia/Perth", "nzst": "Pacific/Auckland", "msk": "Europe/Moscow", "wib": "Asia/Jakarta",
}

var continents = []string{"Europe", "America", "Asia", "Africa", "Australia", "Pacific", "Atlantic", "Indian", "America/Argentina", "America/Indiana"}

// Zone finds the IANA zone for a name of a zone, city or country: Europe/Athens, new york, CET. Empty when there is none.
func Zone(name string) string {
	name = strings.TrimSpace(name)
	low := strings.ToLower(name)
	if z := cities[low]; z != "" {
		return z
	}
	if low == "" || low == "local" || len(low) > 40 || strings.ContainsAny(low, ".\\:") {
		return ""
	}
	if region, city, found := strings.Cut(low, "/"); found {
		return loadZone(title(region) + "/" + title(city))
	}
	if len(low) < 3 {
		return ""
	}
	for _, c := range continents {
		if z := loadZone(c + "/" + title(low)); z != "" {
			return z
		}
	}
	return ""
}

// OffsetZone reads utc+2, gmt-5 and +02:00 as a fixed zone of the zone database. Half hours have none.
func OffsetZone(text string) string {
	low := strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(text), ":00"), "00")
	for _, head := range []string{"utc", "gmt", ""} {
		rest, ok := strings.CutPrefix(low, head)
		if !ok || len(rest) < 2 || rest[0] != '+' && rest[0] != '-' {
			continue
		}
		hours := strings.TrimLeft(rest[1:], "0")
		if hours == "" {
			return "UTC"
		}
		sign := "-" // the zone database turns the sign round: Etc/GMT-2 is two hours ahead
		if rest[0] == '-' {
			sign = "+"
		}
		return loadZone("Etc/GMT" + sign + hours)
	}
	return ""
}

func loadZone(name string) string {
	if loc, err := time.LoadLocation(name); err == nil && loc.String() == name {
		return name
	}
	return ""
}

func title(s string) string {
	parts := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == '_' })
	for i, p := range parts {
		if p == "of" || p == "de" || p == "da" || p == "es" {
			continue
		}
		if rest, ok := strings.CutPrefix(p, "port-"); ok && rest != "" {
			p = "port-" + strings.ToUpper(rest[:1]) + rest[1:]
		}
		parts[i] = strings.ToUpper(p[:1]) + p[1:]
	}
	return strings.Join(parts, "_")
}
