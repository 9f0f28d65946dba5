// SPDX-License-Identifier: GPL-2.0
/*
 * Addresses and ranges as people write them.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "address.h"
#include "command.h"
#include "error.h"
#include "mapping.h"

/* 0x and hexadecimal digits, or decimal ones. Return: 0, -EINVAL or -ERANGE. */
static int parse_number(const char *text, size_t length, __u64 *number)
{
	bool hex = length > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	__u64 value = 0;
	bool over = false;

	if (!length)
		return -EINVAL;
	for (size_t i = hex ? 2 : 0; i < length; i++) {
		unsigned char c = text[i];

		if (hex ? !isxdigit(c) : !isdigit(c))
			return -EINVAL;
		over |= __builtin_mul_overflow(value, hex ? 16 : 10, &value);
		over |= __builtin_add_overflow(value, isdigit(c) ? c - '0' : tolower(c) - 'a' + 10,
					       &value);
	}
	*number = value;
	return over ? -ERANGE : 0;
}

/* A name, or a name and what is added to it: NAME+0x10. Names may contain a plus. */
static int parse_name(const char *text, size_t length, struct address *address)
{
	const char *plus = memrchr(text, '+', length);
	const char *bracket = memrchr(text, ']', length);
	int ret = -EINVAL;

	*address = (struct address) { .name = text, .length = length };
	if (plus && plus != text)
		ret = parse_number(plus + 1, text + length - plus - 1, &address->value);
	if (!ret)
		address->length = plus - text;
	if (ret == -ERANGE)
		return ret;

	/* nothing but an offset can follow the bracket of [heap] */
	if (*text == '[' && (!bracket || bracket != text + address->length - 1))
		return -EINVAL;
	return 0;
}

static bool all_hex_digits(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (!isxdigit((unsigned char)text[i]))
			return false;
	}
	return true;
}

/* Return: 0, -EINVAL or -ERANGE. */
static int parse_address(const char *text, size_t length, struct address *address)
{
	if (!length || *text == '-' || *text == '+')
		return -EINVAL;
	/* "cafe" is more likely a forgotten 0x than the name of a mapping */
	if (isdigit((unsigned char)*text) || all_hex_digits(text, length)) {
		address->name = NULL;
		return parse_number(text, length, &address->value);
	}
	return parse_name(text, length, address);
}

static int misuse_address(const char *where, const char *text, int error)
{
	if (error == -ERANGE)
		return misuse("%s'%.100s' does not fit into 64 bits", where, text);
	if (*text == '-')
		return misuse("%s'%.100s' is not an address: it is negative", where, text);
	if (*text && all_hex_digits(text, strlen(text)))
		return misuse("%s'%.100s' is not an address: hexadecimal ones begin with 0x",
			      where, text);
	return misuse("%s'%.100s' is not an address: write 0x7f10c000, [heap]+0x1000, libc.so.6",
		      where, text);
}

int address_parse(const char *where, const char *text, struct address *address)
{
	int ret = parse_address(text, strlen(text), address);

	return ret ? misuse_address(where, text, ret) : 0;
}

struct named {
	__u64 start;		/* of the lowest mapping of that name */
	__u64 end;		/* of the highest */
	__u64 va;		/* the address that is named, if ... */
	bool contains;		/* ... one of them contains it */
};

/*
 * In a file what is added is an offset in the file, of which each mapping has a part; in
 * [heap] or [stack] it is counted from the lowest address.
 */
static void find_offset(struct named *named, const struct mapping *mapping, __u64 value)
{
	__u64 va = named->start + value;

	if (named->contains)
		return;
	if (*mapping->name == '/')
		va = mapping->start + value - mapping->offset;
	if (va < mapping->start || va >= mapping->end)
		return;
	named->va = va;
	named->contains = true;
}

/* Return: 1 if there is such a mapping, 0 if not, or -errno. */
static int find_name(const struct address *address, const struct target *target,
		     struct named *named)
{
	struct mappings mappings;
	int ret;

	ret = mappings_open(&mappings, &target->process);
	if (ret)
		return ret;

	*named = (struct named) {};
	for (; mappings.valid; mappings_next(&mappings)) {
		const struct mapping *mapping = &mappings.current;

		if (!mapping_is_called(mapping, address->name, address->length))
			continue;
		if (!ret)
			named->start = mapping->start;
		ret = 1;
		named->end = mapping->end;
		find_offset(named, mapping, address->value);
	}
	mappings_close(&mappings);
	return ret;
}

static int fail_name(const char *where, const struct address *address,
		     const struct target *target)
{
	return fail("%sprocess %s has no mapping that is called '%.*s'", where, target->name,
		    (int)address->length, address->name);
}

static int resolve_name(const char *where, const struct address *address,
			const struct target *target, __u64 *va)
{
	struct named named;
	int ret;

	ret = find_name(address, target, &named);
	if (ret < 0)
		return target_fail(target, ret);
	if (!ret)
		return fail_name(where, address, target);

	*va = named.va;
	if (!named.contains)
		return fail("%s'%.*s' of process %s does not reach as far as +0x%llx", where,
			    (int)address->length, address->name, target->name, address->value);
	return 0;
}

/* Only addresses that a process can have are worth asking the module for. */
static int check_va(const char *where, __u64 va, const struct target *target)
{
	unsigned int bits = target->info.levels == 5 ? 57 : 48;
	__u64 half = 1ULL << (bits - 1);

	if (va < target->info.va_end)
		return 0;
	if (va >= -half)
		return fail("%s0x%llx lies in the kernel's half: those of processes end at 0x%llx",
			    where, va, target->info.va_end);
	if (va >= half)
		return fail("%s0x%llx is not canonical: addresses have %u bits here",
			    where, va, bits);
	return fail("%s0x%llx is beyond the end of what a process can have, 0x%llx",
		    where, va, target->info.va_end);
}

int address_resolve(const char *where, const struct address *address,
		    const struct target *target, __u64 *va)
{
	int ret = 0;

	*va = address->value;
	if (address->name)
		ret = resolve_name(where, address, target, va);
	return ret ? ret : check_va(where, *va, target);
}

static int check_range(__u64 start, __u64 end)
{
	if (start % 4096 || end % 4096)
		return misuse("the range 0x%llx-0x%llx is not aligned to pages of 0x1000",
			      start, end);
	if (start == end)
		return misuse("the range 0x%llx-0x%llx is empty: its end is exclusive",
			      start, end);
	if (start > end)
		return misuse("the range 0x%llx-0x%llx is reversed: write the lower end first",
			      start, end);
	return 0;
}

/* A name alone may be half of a longer name; with brackets or an offset it is not. */
static bool is_whole(const struct address *address)
{
	return address->name && (*address->name == '[' || address->name[address->length] == '+');
}

/*
 * The dash between the ends of a range, or NULL: names contain dashes, too. The surest one is
 * that behind what can't go on.
 */
static const char *find_dash(const char *text)
{
	const char *dash, *likely = NULL;
	struct address start, end;

	for (dash = strchr(text, '-'); dash; dash = strchr(dash + 1, '-')) {
		if (parse_address(text, dash - text, &start) == -EINVAL ||
		    parse_address(dash + 1, strlen(dash + 1), &end) == -EINVAL)
			continue;
		if (!start.name || is_whole(&start))
			return dash;
		if (!likely && (is_whole(&end) || (!end.name && dash[1] == '0')))
			likely = dash;
	}
	return likely;
}

int range_parse(const char *text, struct range *range)
{
	const char *dash = find_dash(text);
	int ret;

	range->whole = !dash;
	if (!dash) {
		if (parse_address(text, strlen(text), &range->start) || !range->start.name ||
		    range->start.value)
			return misuse("'%.100s' is not a range: write 0xLOW-0xHIGH, or [heap]",
				      text);
		return 0;
	}

	if (parse_address(text, dash - text, &range->start))
		return misuse_address("", text, -ERANGE);
	ret = address_parse("", dash + 1, &range->end);
	if (!ret && !range->start.name && !range->end.name)
		ret = check_range(range->start.value, range->end.value);
	return ret;
}

static int resolve_whole(const struct range *range, const struct target *target,
			 __u64 *start, __u64 *end)
{
	struct named named;
	int ret;

	ret = find_name(&range->start, target, &named);
	if (ret < 0)
		return target_fail(target, ret);
	if (!ret)
		return fail_name("", &range->start, target);
	*start = named.start;
	*end = named.end;
	return 0;
}

/* The end is exclusive, so it is the byte before it that must exist. */
static int resolve_end(const struct address *address, const struct target *target, __u64 *end)
{
	struct address last = *address;
	int ret;

	if (!last.value)
		return address_resolve("", address, target, end);
	last.value--;
	ret = address_resolve("", &last, target, end);
	++*end;
	return ret;
}

int range_resolve(const struct range *range, const struct target *target,
		  __u64 *start, __u64 *end)
{
	int ret;

	if (range->whole)
		return resolve_whole(range, target, start, end);

	ret = address_resolve("", &range->start, target, start);
	if (ret)
		return ret;
	ret = resolve_end(&range->end, target, end);
	if (ret)
		return ret;
	return check_range(*start, *end);
}
