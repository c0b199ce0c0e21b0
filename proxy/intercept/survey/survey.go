// Package survey reads what there is in a network namespace beside Weir's own
// rules: the sockets, the policy rules, the chains of other programs and what
// these would do with a packet; and it tries what the kernel can do.
//
// It changes nothing in the namespace it looks at, but for [Canary], which has to
// be asked for. All functions work on the network namespace of the calling
// thread. What they find is judged elsewhere (proxy/doctor).
package survey
