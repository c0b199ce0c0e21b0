// Package h2 is HTTP/2 (RFC 9113) on both sides of the proxy: connections, streams,
// flow control and the guards against peers that misuse them. The fields of a
// message are package fields' business; frames are x/net's Framer's where they are
// rare, and read in place where they are not.
//
// The life of a connection:
//
//  1. One goroutine reads. It parses frames where they lie in the connection's
//     buffer, holds no memory while it waits, and never waits for anything else.
//  2. What arrives for a stream is put into the stream, and whoever waits there is
//     woken. DATA is kept until its consumer takes it: only then the peer's windows
//     open again, so that memory is bounded by the windows.
//  3. Streams append frames to one output, and whoever finds nobody writing writes
//     for all, after yielding once so that others can add theirs. A writer that must
//     not stay (its deadline passed, it was woken) hands over to a goroutine.
//  4. A Server runs each stream on a goroutine taken from those that served one
//     before; a ClientConn's streams run on their callers' goroutines.
//  5. One timer for each connection serves all deadlines: it is moved only when an
//     earlier one appears.
//
// core is what both sides share; its mutex guards everything that does not say
// otherwise.
package h2
