/* SPDX-License-Identifier: Apache-2.0
 * The frames that a machine may send to pasta (gate.c), as a classic BPF program. Everything that
 * pasta would connect to the host itself with is refused:
 *
 *   IPv4   0.0.0.0/8, 127.0.0.0/8
 *   IPv6   ::/64 (with ::, ::1, ::ffff:0:0/96, which is IPv4 for a socket of the host, and older
 *          forms of that), fe80::/10 and ff00::/8, which mean the host's own links
 *
 * and every other kind of frame but ARP. The machine needs no neighbour discovery, as its gateway
 * is entered for good (core/network.c). A frame that is too short is refused by the kernel. */
#include <linux/filter.h>
#include <linux/if_ether.h>

#include "agent/platform/native/native.h"
#include "base/macros.h"

enum {
	TYPE_AT = 12,
	DESTINATION_AT = 30,
	DESTINATION6_AT = 38,
	LOOPBACK_NET = 127,
	THIS_NET = 0,
	LINK_LOCAL = 0xfe80,
	LINK_LOCAL_MASK = 0xffc0,
	MULTICAST = 0xff,
};

struct sock_fprog native_gate_filter(void)
{
	static struct sock_filter steps[] = {
		/*  0 */ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, TYPE_AT),
		/*  1 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_ARP, 14, 0),
		/*  2 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IPV6, 4, 0),
		/*  3 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 13),
		/*  4 */ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, DESTINATION_AT),
		/*  5 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, LOOPBACK_NET, 11, 0),
		/*  6 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_NET, 10, 9),
		/*  7 */ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, DESTINATION6_AT),
		/*  8 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MULTICAST, 8, 0),
		/*  9 */ BPF_STMT(BPF_LD | BPF_H | BPF_ABS, DESTINATION6_AT),
		/* 10 */ BPF_STMT(BPF_ALU | BPF_AND | BPF_K, LINK_LOCAL_MASK),
		/* 11 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, LINK_LOCAL, 5, 0),
		/* 12 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, DESTINATION6_AT),
		/* 13 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2),
		/* 14 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, DESTINATION6_AT + 4),
		/* 15 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
		/* 16 */ BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		/* 17 */ BPF_STMT(BPF_RET | BPF_K, 0),
	};
	return (struct sock_fprog){ .len = ARRAY_SIZE(steps), .filter = steps };
}
