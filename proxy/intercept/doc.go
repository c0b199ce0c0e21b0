// Package intercept takes TCP connections that pass through this machine (or
// start on it) and hands them to Weir's listener, and gives everything back.
//
// The life of an interception:
//
//  1. A [Plan] says what to take and what to leave alone. It is data: Validate
//     names every wrong field, Render prints what would be done.
//  2. The plan is compiled to one nftables table (inet weir-<name>), a few policy
//     rules and one local route per family. Text and expressions of a rule are
//     made together, so what Render prints is what the kernel gets.
//  3. Apply adds the route, the policy rules, and then the table, in one
//     transaction. No external program is run.
//  4. A SYN that the plan wants meets `tproxy`: the kernel gives it to the
//     transparent listener, whose accepted socket has the original destination as
//     its local address. Packets after the SYN take the short way: the chain
//     divert finds their socket. Nothing is rewritten, no connection tracking is
//     needed (except for Plan.Local).
//  5. Verify compares the kernel's state with the plan; Status counts packets.
//  6. Close or Remove takes all of it away again.
//
// A Resident table is owned by the netlink socket of this process (nftables
// `flags owner`): nobody else can change it, and the kernel deletes it at the
// instant the process dies, whatever the cause. The policy rules and the route
// stay behind a SIGKILL; they concern marked packets only, of which there are
// none then, and the next Apply or Remove clears them. An Installed table
// outlives the program that made it; it fails open, because `tproxy` falls
// through to normal forwarding while nothing listens on the port.
//
// Two things make other plans: Redirect, whose chains rewrite the destination, and
// another Backend than NFT, whose rules iptables-restore puts into the tables that
// all programs share. Where the kernel cannot tell by itself that nothing listens,
// rules need a lease ([Plan].Lease): they take connections only while somebody
// renews it (Handle.Hold, [Guard]), and pass LeaseTime later. Rules of iptables are
// removed by a child of the process that applied them ([GuardParent]).
//
// Only this package touches netfilter and netlink. All functions work on the
// network namespace of the calling thread; a [Handle] keeps working from any.
package intercept
