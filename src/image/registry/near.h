/* SPDX-License-Identifier: Apache-2.0
 * Addresses that lead to this host or stay on its link: loopback, link-local, unspecified. A
 * registry elsewhere has no business there. */
#pragma once

/* Whether a textual IPv4 or IPv6 address is near; 0 also if it is none. */
int near_address(const char *address);
/* The same for the host of a URL: a name, an IPv4 address, or an IPv6 address in brackets.
 * Only localhost and the names below it are near by their name. */
int near_host(const char *host);
/* Whether an environment variable makes libcurl use a proxy. The peer's address is the proxy's
 * then. */
int near_proxy_is_set(void);
