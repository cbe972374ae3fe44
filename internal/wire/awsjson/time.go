package awsjson

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Time is a timestamp on the wire: a JSON number of seconds since the epoch
// with up to three decimals, for example 1563223656.5. Precision below a
// millisecond is dropped.
type Time time.Time

// NewTime is t as an optional member: nil for the zero time.
func NewTime(t time.Time) *Time {
	if t.IsZero() {
		return nil
	}
	w := Time(t)
	return &w
}

// Time returns t as a time.Time.
func (t Time) Time() time.Time { return time.Time(t) }

// IsZero makes omitzero leave out the zero time.
func (t Time) IsZero() bool { return time.Time(t).IsZero() }

// MarshalJSON writes the number.
func (t Time) MarshalJSON() ([]byte, error) {
	ms := time.Time(t).UnixMilli()
	b := make([]byte, 0, 20)
	if ms < 0 {
		b = append(b, '-')
		ms = -ms
	}
	b = strconv.AppendInt(b, ms/1000, 10)
	if f := ms % 1000; f != 0 {
		b = append(b, '.', byte('0'+f/100), byte('0'+f/10%10), byte('0'+f%10))
		for b[len(b)-1] == '0' {
			b = b[:len(b)-1]
		}
	}
	return b, nil
}

// maxSeconds keeps times within the years that time.Time can write.
const maxSeconds = 253402300799 // 9999-12-31T23:59:59Z

// UnmarshalJSON reads a number in any of JSON's forms, such as
// 1.563223656E9, rounded to the millisecond, in UTC.
func (t *Time) UnmarshalJSON(b []byte) error {
	seconds, err := strconv.ParseFloat(string(b), 64)
	if err != nil || math.Abs(seconds) > maxSeconds {
		return fmt.Errorf("%s is not a timestamp", b)
	}
	*t = Time(time.UnixMilli(int64(math.Round(seconds * 1000))).UTC())
	return nil
}
