/* SPDX-License-Identifier: Apache-2.0
 * The stages of a machine's life, in order. A stage is left for a later one only, with two
 * exceptions: the agent comes back after it was lost (VERSION again), and the init restarts (BOOT
 * again). */
#pragma once

enum keeper_stage {
	STAGE_NEW,       /* nothing was started */
	STAGE_ISOLATION, /* the isolation starts */
	STAGE_VERSION,   /* connected; the agent was asked who it is */
	STAGE_BOOT,      /* the boot request was sent */
	STAGE_INSTALL,   /* sessions of ours may start: one installs an init */
	STAGE_SCRIPT,    /* the same: the script of the machine's creation runs */
	STAGE_READY,     /* sessions may start */
	STAGE_RUNNING,   /* the init has finished booting */
	STAGE_AWAY,      /* the agent was lost; a new one is waited for */
	STAGE_STOPPING,
	STAGE_GONE,
};
