/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A summary in words, as tables and as JSON.
 */
#ifndef REPORT_H
#define REPORT_H

#include "summary.h"
#include "table.h"

/* After the rows of events, if there are any. */
void report_print(const struct summary *summary, const struct output *out, bool has_rows);
/* The last line of JSON. */
void report_print_json(const struct summary *summary);

#endif
