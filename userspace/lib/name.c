// SPDX-License-Identifier: GPL-2.0
/*
 * What states, flags, features, levels and events are called.
 */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "vminspect.h"

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))

static const char * const states[VMINSPECT_NR_STATES] = {
	[VMINSPECT_STATE_NONE] = "none",
	[VMINSPECT_STATE_PRESENT] = "present",
	[VMINSPECT_STATE_SWAPPED] = "swapped",
	[VMINSPECT_STATE_MIGRATING] = "migrating",
	[VMINSPECT_STATE_POISONED] = "poisoned",
	[VMINSPECT_STATE_DEVICE] = "device",
	[VMINSPECT_STATE_MARKER] = "marker",
	[VMINSPECT_STATE_UNKNOWN] = "unknown",
	[VMINSPECT_STATE_UNMAPPED] = "unmapped",
};

/* Masks are the contract, positions are not: the tables follow from the masks. */
#define BIT_OF(mask)	__builtin_ctzll(mask)

static const char * const flags[] = {
	[BIT_OF(VMINSPECT_PAGE_WRITE)] = "write",
	[BIT_OF(VMINSPECT_PAGE_EXEC)] = "exec",
	[BIT_OF(VMINSPECT_PAGE_USER)] = "user",
	[BIT_OF(VMINSPECT_PAGE_GLOBAL)] = "global",
	[BIT_OF(VMINSPECT_PAGE_YOUNG)] = "young",
	[BIT_OF(VMINSPECT_PAGE_DIRTY)] = "dirty",
	[BIT_OF(VMINSPECT_PAGE_SOFT_DIRTY)] = "soft_dirty",
	[BIT_OF(VMINSPECT_PAGE_UFFD_WP)] = "uffd_wp",
	[BIT_OF(VMINSPECT_PAGE_PROTNONE)] = "protnone",
	[BIT_OF(VMINSPECT_PAGE_SPECIAL)] = "special",
	[BIT_OF(VMINSPECT_PAGE_ZERO)] = "zero",
	[BIT_OF(VMINSPECT_PAGE_ANON)] = "anon",
	[BIT_OF(VMINSPECT_PAGE_FILE)] = "file",
	[BIT_OF(VMINSPECT_PAGE_SHARED)] = "shared",
	[BIT_OF(VMINSPECT_PAGE_KSM)] = "ksm",
	[BIT_OF(VMINSPECT_PAGE_HUGE)] = "huge",
	[BIT_OF(VMINSPECT_PAGE_HUGETLB)] = "hugetlb",
	[BIT_OF(VMINSPECT_PAGE_EXCLUSIVE)] = "exclusive",
	[BIT_OF(VMINSPECT_PAGE_MAPPED_ONCE)] = "mapped_once",
	[BIT_OF(VMINSPECT_PAGE_SWAPCACHE)] = "swapcache",
	[BIT_OF(VMINSPECT_PAGE_SHMEM)] = "shmem",
	[BIT_OF(VMINSPECT_PAGE_NUMA_HINT)] = "numa_hint",
	[BIT_OF(VMINSPECT_PAGE_POISON)] = "poison",
	[BIT_OF(VMINSPECT_PAGE_GUARD)] = "guard",
	[BIT_OF(VMINSPECT_ENTRY_PRESENT)] = "present",
};

static_assert(VMINSPECT_NR_PAGE_FLAGS == 24 && VMINSPECT_NR_STATES == 9,
	      "every flag and every state has a name here");

static const char * const features[] = {
	[BIT_OF(VMINSPECT_FEATURE_SCAN)] = "scan",
	[BIT_OF(VMINSPECT_FEATURE_TRANSLATE)] = "translate",
	[BIT_OF(VMINSPECT_FEATURE_WALK)] = "walk",
	[BIT_OF(VMINSPECT_FEATURE_DEBUGFS)] = "debugfs",
	[BIT_OF(VMINSPECT_FEATURE_SHMEM_SWAP)] = "shmem_swap",
	[BIT_OF(VMINSPECT_FEATURE_SOFT_DIRTY)] = "soft_dirty",
	[BIT_OF(VMINSPECT_FEATURE_UFFD_WP)] = "uffd_wp",
	[BIT_OF(VMINSPECT_FEATURE_THP)] = "thp",
	[BIT_OF(VMINSPECT_FEATURE_DEVICE_PRIVATE)] = "device_private",
	[BIT_OF(VMINSPECT_FEATURE_SWAP)] = "swap",
	[BIT_OF(VMINSPECT_FEATURE_SWAP_MAP)] = "swap_map",
	[BIT_OF(VMINSPECT_FEATURE_SWAP_IN)] = "swap_in",
	[BIT_OF(VMINSPECT_FEATURE_SWAP_OUT)] = "swap_out",
	[BIT_OF(VMINSPECT_FEATURE_READ)] = "read",
	[BIT_OF(VMINSPECT_FEATURE_WRITE)] = "write",
	[BIT_OF(VMINSPECT_FEATURE_GUEST)] = "guest",
};

static const char * const events[VMINSPECT_NR_EVENTS] = {
	[VMINSPECT_EVENT_LOST] = "lost",
	[VMINSPECT_EVENT_SWAP_IN] = "swap_in",
	[VMINSPECT_EVENT_SWAP_OUT] = "swap_out",
	[VMINSPECT_EVENT_READ] = "read",
	[VMINSPECT_EVENT_WRITE] = "write",
};

static const char * const as[VMINSPECT_NR_AS] = {
	[VMINSPECT_AS_OTHER] = "other",
	[VMINSPECT_AS_FAULT] = "fault",
	[VMINSPECT_AS_KSWAPD] = "kswapd",
	[VMINSPECT_AS_DIRECT] = "direct",
	[VMINSPECT_AS_MEMCG] = "memcg",
	[VMINSPECT_AS_MADVISE] = "madvise",
	[VMINSPECT_AS_KHUGEPAGED] = "khugepaged",
	[VMINSPECT_AS_SWAPOFF] = "swapoff",
};

static const char * const sources[VMINSPECT_NR_SOURCES] = {
	[VMINSPECT_SOURCE_DEVICE] = "device",
	[VMINSPECT_SOURCE_ZRAM] = "zram",
	[VMINSPECT_SOURCE_ZSWAP] = "zswap",
	[VMINSPECT_SOURCE_ZERO] = "zero",
	[VMINSPECT_SOURCE_CACHE] = "cache",
};

static_assert(VMINSPECT_NR_EVENTS == 5 && VMINSPECT_NR_AS == 8 && VMINSPECT_NR_SOURCES == 6,
	      "every kind of event, every actor and every source has a name here");

static const char * const levels[] = {
	[1] = "PTE", [2] = "PMD", [3] = "PUD", [4] = "P4D", [5] = "PGD",
};

const char *vminspect_state_name(unsigned int state)
{
	return state < ARRAY_SIZE(states) ? states[state] : NULL;
}

const char *vminspect_flag_name(unsigned int bit)
{
	return bit < ARRAY_SIZE(flags) ? flags[bit] : NULL;
}

const char *vminspect_feature_name(unsigned int bit)
{
	return bit < ARRAY_SIZE(features) ? features[bit] : NULL;
}

const char *vminspect_level_name(unsigned int level)
{
	return level < ARRAY_SIZE(levels) ? levels[level] : NULL;
}

const char *vminspect_event_name(unsigned int kind)
{
	return kind < ARRAY_SIZE(events) ? events[kind] : NULL;
}

const char *vminspect_as_name(unsigned int number)
{
	return number < ARRAY_SIZE(as) ? as[number] : NULL;
}

const char *vminspect_source_name(unsigned int source)
{
	return source < ARRAY_SIZE(sources) ? sources[source] : NULL;
}

int vminspect_category_parse(const char *name, __u64 *category)
{
	for (unsigned int state = 0; state < VMINSPECT_NR_STATES; state++) {
		if (!strcmp(name, states[state])) {
			*category = VMINSPECT_CAT(state);
			return 0;
		}
	}
	for (unsigned int bit = 0; bit < VMINSPECT_NR_PAGE_FLAGS; bit++) {
		if (!strcmp(name, flags[bit])) {
			*category = 1ULL << bit;
			return 0;
		}
	}
	return -ENOENT;
}

const char *vminspect_guest_level_name(unsigned int level)
{
	static const char * const names[] = { NULL, "PT", "PD", "PDPT", "PML4", "PML5" };

	return level < ARRAY_SIZE(names) ? names[level] : NULL;
}

const char *vminspect_mode_name(unsigned int mode)
{
	static const char * const names[] = {
		[VMINSPECT_MODE_NONE] = "none",
		[VMINSPECT_MODE_32BIT] = "32-bit",
		[VMINSPECT_MODE_PAE] = "PAE",
		[VMINSPECT_MODE_4LEVEL] = "4-level",
		[VMINSPECT_MODE_5LEVEL] = "5-level",
	};

	return mode < ARRAY_SIZE(names) ? names[mode] : NULL;
}

const char *vminspect_registers_name(unsigned int registers)
{
	static const char * const names[] = {
		[VMINSPECT_REGISTERS_CURRENT] = "current",
		[VMINSPECT_REGISTERS_LAST_EXIT] = "last_exit",
		[VMINSPECT_REGISTERS_STALE] = "stale",
	};

	return registers < ARRAY_SIZE(names) ? names[registers] : NULL;
}

const char *vminspect_nested_name(unsigned int nested)
{
	static const char * const names[] = {
		[VMINSPECT_NESTED_NPT] = "npt",
		[VMINSPECT_NESTED_EPT] = "ept",
		[VMINSPECT_NESTED_SHADOW] = "shadow",
	};

	return nested < ARRAY_SIZE(names) ? names[nested] : NULL;
}

const char *vminspect_missing_name(unsigned int missing)
{
	static const char * const names[] = {
		[VMINSPECT_MISSING_GUEST] = "guest",
		[VMINSPECT_MISSING_SLOT] = "slot",
		[VMINSPECT_MISSING_HOST] = "host",
		[VMINSPECT_MISSING_UNREADABLE] = "unreadable",
	};

	return missing < ARRAY_SIZE(names) ? names[missing] : NULL;
}
