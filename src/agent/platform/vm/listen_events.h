/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* As struct platform has it. */
int vm_open_listen_events(void);
