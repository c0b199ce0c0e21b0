package grpc

import (
	"strconv"
	"time"
)

// maxTimeout is the largest number of grpc-timeout: eight digits.
const maxTimeout = 99999999

// ParseTimeout reads the value of grpc-timeout: one to eight digits and a unit. As
// in Envoy, what is no whole number of milliseconds is rounded up to one.
func ParseTimeout(v []byte) (time.Duration, bool) {
	if len(v) < 2 || len(v) > 9 {
		return 0, false
	}
	n := time.Duration(0)
	for _, c := range v[:len(v)-1] {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + time.Duration(c-'0')
	}
	switch v[len(v)-1] {
	case 'H':
		return n * min(time.Hour, maxDuration/max(n, 1)), true
	case 'M':
		return n * time.Minute, true
	case 'S':
		return n * time.Second, true
	case 'm':
		return n * time.Millisecond, true
	case 'u':
		return roundUp(n * time.Microsecond), true
	case 'n':
		return roundUp(n), true
	}
	return 0, false
}

const maxDuration = time.Duration(1<<63 - 1)

func roundUp(d time.Duration) time.Duration {
	return (d + time.Millisecond - 1) / time.Millisecond * time.Millisecond
}

// AppendTimeout appends a duration as grpc-timeout carries it, in milliseconds if
// they have no more than eight digits (Envoy: Grpc::Common::toGrpcTimeout).
func AppendTimeout(dst []byte, d time.Duration) []byte {
	n, unit := int64(max(d, 0)/time.Millisecond), byte('m')
	for _, next := range [...]struct {
		unit byte
		in   int64
	}{{'S', 1000}, {'M', 60}, {'H', 60}} {
		if n <= maxTimeout {
			break
		}
		n, unit = n/next.in, next.unit
	}
	return append(strconv.AppendInt(dst, n, 10), unit)
}
