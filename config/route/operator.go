package route

import (
	"fmt"
	"strconv"
	"time"
)

// operator is a command operator of header values.
type operator uint8

const (
	opText operator = iota
	opReq
	opResp
	opHostname

	// Of the connection.
	opRemote
	opRemoteIP
	opRemotePort
	opDirect
	opDirectIP
	opLocal
	opLocalIP
	opLocalPort
	opServerName
	opTLSVersion
	opTLSCipher
	opConnectionID
	opFilterChain

	// Of the stream.
	opProtocol
	opStartTime
	opUpstream
	opUpstreamIP
	opUpstreamPort
	opUpstreamLocal
	opUpstreamLocalIP
	opCluster
	opRouteName
	opCode
	opDetails
	opFlags
	opReceived
	opSent
	opAttempts
	opFailure
	opRequestDuration
	numOperators

	firstStreamOperator = opProtocol
)

// operatorNames is indexed by operator (Envoy: access log command operators).
var operatorNames = [numOperators]string{
	opReq: "REQ", opResp: "RESP", opHostname: "HOSTNAME",
	opRemote:          "DOWNSTREAM_REMOTE_ADDRESS",
	opRemoteIP:        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
	opRemotePort:      "DOWNSTREAM_REMOTE_PORT",
	opDirect:          "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
	opDirectIP:        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
	opLocal:           "DOWNSTREAM_LOCAL_ADDRESS",
	opLocalIP:         "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
	opLocalPort:       "DOWNSTREAM_LOCAL_PORT",
	opServerName:      "REQUESTED_SERVER_NAME",
	opTLSVersion:      "DOWNSTREAM_TLS_VERSION",
	opTLSCipher:       "DOWNSTREAM_TLS_CIPHER",
	opConnectionID:    "CONNECTION_ID",
	opFilterChain:     "FILTER_CHAIN_NAME",
	opProtocol:        "PROTOCOL",
	opStartTime:       "START_TIME",
	opUpstream:        "UPSTREAM_HOST",
	opUpstreamIP:      "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
	opUpstreamPort:    "UPSTREAM_REMOTE_PORT",
	opUpstreamLocal:   "UPSTREAM_LOCAL_ADDRESS",
	opUpstreamLocalIP: "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
	opCluster:         "UPSTREAM_CLUSTER",
	opRouteName:       "ROUTE_NAME",
	opCode:            "RESPONSE_CODE",
	opDetails:         "RESPONSE_CODE_DETAILS",
	opFlags:           "RESPONSE_FLAGS",
	opReceived:        "BYTES_RECEIVED",
	opSent:            "BYTES_SENT",
	opAttempts:        "UPSTREAM_REQUEST_ATTEMPT_COUNT",
	opFailure:         "UPSTREAM_TRANSPORT_FAILURE_REASON",
	opRequestDuration: "REQUEST_DURATION",
}

// operatorNamed gives opText when there is none of that name.
func operatorNamed(name string) operator {
	switch name {
	case "UPSTREAM_REMOTE_ADDRESS": // one host, two names
		return opUpstream
	case "REQUEST_HEADER":
		return opReq
	case "RESPONSE_HEADER":
		return opResp
	}
	for op := opText + 1; op < numOperators; op++ {
		if operatorNames[op] == name {
			return op
		}
	}
	return opText
}

// timeLayout is a compiled START_TIME format: text and verbs in turn.
type timeLayout []timePart

type timePart struct {
	text   string // literal, or a layout of package time
	layout bool
	digits int  // of a fraction of a second
	unix   bool // seconds since 1970
}

// timeVerbs maps strftime's verbs to layouts of package time.
var timeVerbs = map[byte]string{
	'Y': "2006", 'm': "01", 'd': "02", 'e': "_2", 'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM",
	'y': "06", 'b': "Jan", 'B': "January", 'a': "Mon", 'A': "Monday", 'z': "-0700", 'Z': "MST", 'j': "002",
	'F': "2006-01-02", 'T': "15:04:05", 'R': "15:04", 'D': "01/02/06",
}

// parseTimeLayout compiles the strftime format of START_TIME: strftime's common
// verbs, Envoy's %f and %1f…%9f (fraction), %s (Unix), and absl's %E1S…%E9S.
func parseTimeLayout(s string) (timeLayout, error) {
	var l timeLayout
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			l = append(l, timePart{text: s[i : i+1]})
			continue
		}
		verb := s[i+1:]
		digit := func(at int) int {
			if at < len(verb) && '1' <= verb[at] && verb[at] <= '9' {
				return int(verb[at] - '0')
			}
			return 0
		}
		used := 1
		switch {
		case verb == "":
			return nil, fmt.Errorf("time format %q ends in %%", s)
		case verb[0] == '%':
			l = append(l, timePart{text: "%"})
		case verb[0] == 's':
			l = append(l, timePart{unix: true})
		case verb[0] == 'f':
			l = append(l, timePart{digits: 9})
		case digit(0) > 0 && len(verb) > 1 && verb[1] == 'f':
			l = append(l, timePart{digits: digit(0)})
			used = 2
		case verb[0] == 'E' && digit(1) > 0 && len(verb) > 2 && verb[2] == 'S':
			l = append(l, timePart{text: "05", layout: true}, timePart{text: "."}, timePart{digits: digit(1)})
			used = 3
		case timeVerbs[verb[0]] != "":
			l = append(l, timePart{text: timeVerbs[verb[0]], layout: true})
		default:
			return nil, fmt.Errorf("time format %q: unknown verb %%%s", s, verb[:1])
		}
		i += used
	}
	return l, nil
}

// append writes the time in UTC, as Envoy does.
func (l timeLayout) append(dst []byte, t time.Time) []byte {
	t = t.UTC()
	for i := range l {
		p := &l[i]
		switch {
		case p.unix:
			dst = strconv.AppendInt(dst, t.Unix(), 10)
		case p.digits > 0:
			n := t.Nanosecond()
			for d, unit := 0, 100_000_000; d < p.digits; d++ {
				dst = append(dst, byte('0'+n/unit%10))
				unit /= 10
			}
		case p.layout:
			dst = t.AppendFormat(dst, p.text)
		default:
			dst = append(dst, p.text...)
		}
	}
	return dst
}
