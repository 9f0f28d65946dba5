// SPDX-License-Identifier: GPL-2.0
/* The same for the kernel's own configuration, whose numbers of types are others. */
#define ENTRY_TEST_STOCK
#include "entry_test.c"
