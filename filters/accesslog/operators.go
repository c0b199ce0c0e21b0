package accesslog

import "strings"

// takes says what an operator may or must be given.
type takes uint8

const (
	nothing  takes = 0
	required takes = 1 << iota // (arguments)
	optional
	length // :N
)

// An entry is one operator of the table.
type entry struct {
	value valuer
	takes takes
	flag  uint8 // what the valuer finds in op.flag
	args  func(*op, string) error
}

// operators is every operator there is here (Envoy: access log command operators).
var operators = map[string]entry{
	// Headers.
	"REQ":              {request, required | length, 0, headerArgs},
	"REQUEST_HEADER":   {request, required | length, 0, headerArgs},
	"RESP":             {response, required | length, 0, headerArgs},
	"RESPONSE_HEADER":  {response, required | length, 0, headerArgs},
	"TRAILER":          {trailer, required | length, 0, headerArgs},
	"RESPONSE_TRAILER": {trailer, required | length, 0, headerArgs},
	"PATH":             {path, optional | length, 0, pathArgs},
	"QUERY_PARAM":      {queryParam, required | length, 0, textArg},
	"QUERY_PARAMS":     {query, optional | length, 0, queryArgs},

	// Times.
	"START_TIME":           {startTime, optional, utc, layoutArg},
	"START_TIME_LOCAL":     {startTime, optional, local, layoutArg},
	"EMIT_TIME":            {emitTime, optional, utc, layoutArg},
	"EMIT_TIME_LOCAL":      {emitTime, optional, local, layoutArg},
	"DURATION":             {duration, nothing, 0, between(downstreamStart, downstreamEnd)},
	"REQUEST_DURATION":     {duration, nothing, 0, between(downstreamStart, requestEnd)},
	"RESPONSE_DURATION":    {duration, nothing, 0, between(downstreamStart, upstreamFirst)},
	"RESPONSE_TX_DURATION": {duration, nothing, 0, between(upstreamFirst, downstreamEnd)},
	"COMMON_DURATION":      {duration, required, 0, durationArgs},

	// What was asked and how it ended.
	"PROTOCOL":                       {protocol, nothing, 0, nil},
	"UPSTREAM_PROTOCOL":              {upstreamProtocol, nothing, 0, nil},
	"RESPONSE_CODE":                  {code, nothing, 0, nil},
	"RESPONSE_CODE_DETAILS":          {details, optional, 0, detailsArg},
	"RESPONSE_FLAGS":                 {flags, nothing, 0, nil},
	"RESPONSE_FLAGS_LONG":            {flags, nothing, 1, nil},
	"CONNECTION_TERMINATION_DETAILS": {termination, nothing, 0, nil},
	"GRPC_STATUS":                    {grpcStatus, optional, grpcCamel, grpcArg},
	"GRPC_STATUS_NUMBER":             {grpcStatus, nothing, grpcNumber, nil},
	"ROUTE_NAME":                     {routeName, nothing, 0, nil},
	"ACCESS_LOG_TYPE":                {logType, nothing, 0, nil},

	// Bytes.
	"BYTES_RECEIVED":          {bytesReceived, nothing, 0, nil},
	"BYTES_SENT":              {bytesSent, nothing, 0, nil},
	"REQUEST_HEADERS_BYTES":   {headBytes, nothing, requestHead, nil},
	"RESPONSE_HEADERS_BYTES":  {headBytes, nothing, responseHead, nil},
	"RESPONSE_TRAILERS_BYTES": {headBytes, nothing, responseTrailers, nil},

	// The downstream connection.
	"DOWNSTREAM_REMOTE_ADDRESS":                     {downstreamAddress, nothing, remote | whole, nil},
	"DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT":        {downstreamAddress, nothing, remote | ipOnly, nil},
	"DOWNSTREAM_REMOTE_PORT":                        {downstreamAddress, nothing, remote | portOnly, nil},
	"DOWNSTREAM_DIRECT_REMOTE_ADDRESS":              {downstreamAddress, nothing, direct | whole, nil},
	"DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT": {downstreamAddress, nothing, direct | ipOnly, nil},
	"DOWNSTREAM_DIRECT_REMOTE_PORT":                 {downstreamAddress, nothing, direct | portOnly, nil},
	"DOWNSTREAM_LOCAL_ADDRESS":                      {downstreamAddress, nothing, dest | whole, nil},
	"DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT":         {downstreamAddress, nothing, dest | ipOnly, nil},
	"DOWNSTREAM_LOCAL_PORT":                         {downstreamAddress, nothing, dest | portOnly, nil},
	"DOWNSTREAM_DIRECT_LOCAL_ADDRESS":               {downstreamAddress, nothing, bound | whole, nil},
	"DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT":  {downstreamAddress, nothing, bound | ipOnly, nil},
	"DOWNSTREAM_DIRECT_LOCAL_PORT":                  {downstreamAddress, nothing, bound | portOnly, nil},
	"DOWNSTREAM_TLS_VERSION":                        {tlsVersion, nothing, 0, nil},
	"DOWNSTREAM_TLS_CIPHER":                         {tlsCipher, nothing, 0, nil},
	"DOWNSTREAM_PEER_SUBJECT":                       {certificate, nothing, subject, nil},
	"DOWNSTREAM_PEER_ISSUER":                        {certificate, nothing, issuer, nil},
	"DOWNSTREAM_PEER_SERIAL":                        {certificate, nothing, serial, nil},
	"DOWNSTREAM_PEER_FINGERPRINT_256":               {certificate, nothing, sha256Print, nil},
	"DOWNSTREAM_PEER_FINGERPRINT_1":                 {certificate, nothing, sha1Print, nil},
	"DOWNSTREAM_PEER_CERT":                          {certificate, nothing, pemText, nil},
	"DOWNSTREAM_PEER_URI_SAN":                       {certificate, nothing, uriSANs, nil},
	"DOWNSTREAM_PEER_DNS_SAN":                       {certificate, nothing, dnsSANs, nil},
	"DOWNSTREAM_PEER_IP_SAN":                        {certificate, nothing, ipSANs, nil},
	"DOWNSTREAM_PEER_EMAIL_SAN":                     {certificate, nothing, emailSANs, nil},
	"DOWNSTREAM_LOCAL_SUBJECT":                      {certificate, nothing, ours | subject, nil},
	"DOWNSTREAM_LOCAL_URI_SAN":                      {certificate, nothing, ours | uriSANs, nil},
	"DOWNSTREAM_LOCAL_DNS_SAN":                      {certificate, nothing, ours | dnsSANs, nil},
	"DOWNSTREAM_LOCAL_IP_SAN":                       {certificate, nothing, ours | ipSANs, nil},
	"DOWNSTREAM_LOCAL_EMAIL_SAN":                    {certificate, nothing, ours | emailSANs, nil},
	"DOWNSTREAM_PEER_CERT_V_START":                  {certificate, optional, validFrom, certificateDateArg},
	"DOWNSTREAM_PEER_CERT_V_END":                    {certificate, optional, validUntil, certificateDateArg},
	"DOWNSTREAM_TLS_SESSION_ID":                     {tlsSession, nothing, 0, nil},
	"DOWNSTREAM_TRANSPORT_FAILURE_REASON":           {tlsFailure, nothing, 0, nil},
	"TLS_JA3_FINGERPRINT":                           {ja3, nothing, 0, nil},
	"TLS_JA4_FINGERPRINT":                           {ja4, nothing, 0, nil},
	"DYNAMIC_METADATA":                              {metadata, required | length, 0, metadataArgs},
	"REQUESTED_SERVER_NAME":                         {serverName, nothing, 0, nil},
	"CONNECTION_ID":                                 {connectionID, nothing, 0, nil},
	"LISTENER_NAME":                                 {listenerName, nothing, 0, nil},
	"FILTER_CHAIN_NAME":                             {chainName, nothing, 0, nil},

	// The upstream.
	"UPSTREAM_HOST":                        {upstreamAddress, nothing, remote | whole, nil},
	"UPSTREAM_REMOTE_ADDRESS":              {upstreamAddress, nothing, remote | whole, nil},
	"UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": {upstreamAddress, nothing, remote | ipOnly, nil},
	"UPSTREAM_REMOTE_PORT":                 {upstreamAddress, nothing, remote | portOnly, nil},
	"UPSTREAM_LOCAL_ADDRESS":               {upstreamAddress, nothing, bound | whole, nil},
	"UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT":  {upstreamAddress, nothing, bound | ipOnly, nil},
	"UPSTREAM_LOCAL_PORT":                  {upstreamAddress, nothing, bound | portOnly, nil},
	"UPSTREAM_CLUSTER":                     {clusterName, nothing, 0, nil},
	"UPSTREAM_CLUSTER_RAW":                 {clusterName, nothing, 0, nil},
	"UPSTREAM_REQUEST_ATTEMPT_COUNT":       {attempts, nothing, 0, nil},
	"UPSTREAM_TRANSPORT_FAILURE_REASON":    {upstreamFailure, nothing, 0, nil},

	// Names of things.
	"STREAM_ID":   {streamID, nothing, 0, nil},
	"UNIQUE_ID":   {uniqueID, nothing, 0, nil},
	"HOSTNAME":    {constant, nothing, 0, hostnameArg},
	"ENVIRONMENT": {constant, required | length, 0, environmentArg},
}

// envoyOnly are operators of Envoy whose data is not kept here.
var envoyOnly = strings.Fields(`
	REQUEST_TX_DURATION DOWNSTREAM_HANDSHAKE_DURATION DOWNSTREAM_CX_RTT UPSTREAM_CONNECTION_POOL_READY_DURATION
	BYTES_RETRANSMITTED PACKETS_RETRANSMITTED
	UPSTREAM_HOST_NAME UPSTREAM_HOST_NAME_WITHOUT_PORT UPSTREAM_HOSTS_ATTEMPTED UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT
	UPSTREAM_HOST_NAMES_ATTEMPTED UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT UPSTREAM_SERVER_NAME UPSTREAM_CONNECTION_ID
	UPSTREAM_CONNECTION_IDS_ATTEMPTED ROUTE_RESOLUTION_COUNT ROUTE_RESOLUTION_TIME_US VIRTUAL_CLUSTER_NAME
	TRACE_ID SPAN_ID CUSTOM_FLAGS LOCAL_REPLY_BODY CLUSTER_METADATA UPSTREAM_METADATA METADATA
	FILTER_STATE UPSTREAM_FILTER_STATE CEL XFCC_VALUE REQ_WITHOUT_QUERY FILE_CONTENT SECRET DYNAMIC_MODULE
	DOWNSTREAM_DETECTED_CLOSE_TYPE UPSTREAM_DETECTED_CLOSE_TYPE
	DOWNSTREAM_LOCAL_CLOSE_REASON UPSTREAM_LOCAL_CLOSE_REASON
	DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID
	UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID UPSTREAM_LOCAL_ADDRESS_ENDPOINT_ID
	DOWNSTREAM_TLS_GROUP UPSTREAM_TLS_CIPHER UPSTREAM_TLS_GROUP UPSTREAM_TLS_SESSION_ID
	UPSTREAM_TLS_VERSION UPSTREAM_PEER_URI_SAN`)

// envoyFamilies are the beginnings of the names of many more: certificates and
// bytes as they were on the wire.
var envoyFamilies = strings.Fields(`
	DOWNSTREAM_PEER_CHAIN_ DOWNSTREAM_PEER_OTHERNAME_SAN DOWNSTREAM_LOCAL_OTHERNAME_SAN UPSTREAM_PEER_ UPSTREAM_LOCAL_SUBJECT UPSTREAM_LOCAL_URI_SAN
	UPSTREAM_LOCAL_DNS_SAN UPSTREAM_LOCAL_IP_SAN UPSTREAM_LOCAL_EMAIL_SAN UPSTREAM_LOCAL_OTHERNAME_SAN
	DOWNSTREAM_WIRE_BYTES_ UPSTREAM_WIRE_BYTES_ DOWNSTREAM_HEADER_BYTES_ UPSTREAM_HEADER_BYTES_
	DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_ UPSTREAM_DECOMPRESSED_HEADER_BYTES_`)

// elsewhere tells whether Envoy has an operator of that name.
func elsewhere(name string) bool {
	for _, n := range envoyOnly {
		if n == name {
			return true
		}
	}
	for _, p := range envoyFamilies {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}
