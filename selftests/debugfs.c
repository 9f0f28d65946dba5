// SPDX-License-Identifier: GPL-2.0
/*
 * Promise: the text views in debugfs say what the device says, to each open file what was
 * chosen on it, in pieces of any size, of targets of any size; a bad choice is refused.
 *
 * machines: default la57
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/utsname.h>

#include "kselftest_harness.h"

#include "common.h"

#define DIRECTORY	"/sys/kernel/debug/vminspect/"
#define TEXT_ROOM	(4UL << 20)
#define USER		1000

/* As uapi/vminspect.h calls them. */
static const char * const state_names[] = {
	"none", "present", "swapped", "migrating", "poisoned", "device", "marker", "unknown",
	"unmapped",
};

static const char * const flag_names[] = {
	"write", "exec", "user", "global", "young", "dirty", "soft_dirty", "uffd_wp", "protnone",
	"special", "zero", "anon", "file", "shared", "ksm", "huge", "hugetlb", "exclusive",
	"mapped_once", "swapcache", "shmem", "numa_hint", "poison", "guard",
};

/*
 * Texts, and what one has to be.
 */
struct text {
	char *bytes;
	size_t len;
};

static struct text text_new(void)
{
	return (struct text){ .bytes = calloc(1, TEXT_ROOM) };
}

static void __attribute__((format(printf, 2, 3))) text_add(struct text *text,
							   const char *format, ...)
{
	va_list args;

	va_start(args, format);
	text->len += vsnprintf(text->bytes + text->len, TEXT_ROOM - text->len, format, args);
	va_end(args);
}

static void text_add_flags(struct text *text, uint32_t all, uint32_t some)
{
	const char *comma = "";
	size_t i;

	for (i = 0; i < ARRAY_LEN(flag_names); i++) {
		if (!((all | some) & 1U << i))
			continue;
		text_add(text, "%s%s%s", comma, flag_names[i], some & 1U << i ? "?" : "");
		comma = ",";
	}
	text_add(text, "%s\n", *comma ? "" : "-");
}

static void text_add_place(struct text *text, uint8_t state, uint64_t frame, uint8_t swap_type)
{
	if (state == VMINSPECT_STATE_SWAPPED)
		text_add(text, "swap:%u:%" PRIu64, swap_type, frame);
	else if (state == VMINSPECT_STATE_UNKNOWN)
		text_add(text, "raw:0x%" PRIx64, frame);
	else if (state == VMINSPECT_STATE_NONE || state == VMINSPECT_STATE_UNMAPPED ||
		 state == VMINSPECT_STATE_MARKER)
		text_add(text, "-");
	else
		text_add(text, "pfn:0x%" PRIx64, frame);
}

static int text_add_extent(const struct vminspect_extent *extent, void *arg)
{
	struct text *text = arg;

	text_add(text, "0x%" PRIx64 "-0x%" PRIx64 " %lu %s ", (uint64_t)extent->start,
		 (uint64_t)extent->end, 1UL << extent->page_shift, state_names[extent->state]);
	text_add_place(text, extent->state, extent->frame, extent->swap_type);
	text_add(text, " ");
	text_add_flags(text, extent->flags, extent->mixed);
	return 0;
}

/* What "maps" has to say of a process that has stopped. */
static struct text text_of_maps(pid_t pid)
{
	const struct vminspect_scan scan = {
		.category_anyof_mask = STATES_WITH_ENTRY,
		.return_mask = RETURN_ALL,
		.split_mask = VMINSPECT_PAGE_FLAGS &
			      ~(VMINSPECT_PAGE_YOUNG | VMINSPECT_PAGE_DIRTY |
				VMINSPECT_PAGE_SOFT_DIRTY),
	};
	struct text text = text_new();
	struct vminspect_info info;
	int device = device_bound(pid);

	if (!device_info(device, &info))
		device_extents(device, 0, info.va_end, &scan, text_add_extent, &text);
	close(device);
	return text;
}

static void text_add_level(struct text *text, const struct vminspect_walk_level *level)
{
	static const char * const names[] = { "PTE", "PMD", "PUD", "P4D", "PGD" };

	text_add(text, "%s [%3u] 0x%" PRIx64 " = 0x%" PRIx64 " %s,", names[level->level - 1],
		 level->index, (uint64_t)level->entry_pa, (uint64_t)level->raw,
		 level->flags & VMINSPECT_ENTRY_PRESENT ? "present" : "not present");
	text_add_flags(text, level->flags & VMINSPECT_PAGE_FLAGS, 0);
}

/* What "walk" has to say. */
static struct text text_of_walk(pid_t pid, const void *va)
{
	struct text text = text_new();
	struct vminspect_walk walk;
	int device = device_bound(pid);
	uint32_t i;

	if (!device_walk(device, (uintptr_t)va, &walk)) {
		text_add(&text, "0x%" PRIxPTR " root 0x%" PRIx64 "\n", (uintptr_t)va,
			 (uint64_t)walk.root);
		for (i = 0; i < walk.nr_levels; i++)
			text_add_level(&text, &walk.levels[i]);
		text_add(&text, "%s %lu ", state_names[walk.entry.state],
			 1UL << walk.entry.page_shift);
		text_add_place(&text, walk.entry.state, walk.entry.frame, walk.entry.swap_type);
		text_add(&text, " ");
		text_add_flags(&text, walk.entry.flags, 0);
	}
	close(device);
	return text;
}

/*
 * The files.
 */
static int view_open(const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), DIRECTORY "%s", name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int view_choose(int view, const char *choice)
{
	ssize_t len = strlen(choice), written = write(view, choice, len);

	return written < 0 ? -errno : written == len ? 0 : -EIO;
}

static int view_choose_pid(int view, pid_t pid)
{
	char choice[32];

	snprintf(choice, sizeof(choice), "%d\n", pid);
	return view_choose(view, choice);
}

static int view_choose_address(int view, pid_t pid, uint64_t va)
{
	char choice[64];

	snprintf(choice, sizeof(choice), "%d 0x%" PRIx64 "\n", pid, va);
	return view_choose(view, choice);
}

/* Up to the end, which is told, in pieces of @size bytes at most. */
static struct text view_read(int view, size_t size)
{
	struct text text = text_new();
	ssize_t got;

	do {
		if (size > TEXT_ROOM - text.len)
			size = TEXT_ROOM - text.len;
		got = read(view, text.bytes + text.len, size);
		if (got > 0)
			text.len += got;
	} while (got > 0);
	if (got < 0)
		text_add(&text, "read: %s", strerror(errno));
	return text;
}

/* The lines of @text for a range of addresses. */
static struct text text_within(const struct text *text, uint64_t start, uint64_t end)
{
	const char *line = text->bytes;
	struct text within = text_new();
	uint64_t from, to;
	size_t len;

	for (; *line; line += len) {
		len = strcspn(line, "\n");
		len += line[len] == '\n';
		if (sscanf(line, "0x%" SCNx64 "-0x%" SCNx64 " ", &from, &to) != 2 ||
		    (from >= start && to <= end))
			text_add(&within, "%.*s", (int)len, line);
	}
	return within;
}

/* Both texts are freed. Where they differ, prints the place. */
static bool texts_equal(struct text want, struct text got)
{
	bool equal = want.len && want.len == got.len && !memcmp(want.bytes, got.bytes, want.len);
	size_t at = 0;

	if (!equal) {
		while (at < want.len && want.bytes[at] == got.bytes[at])
			at++;
		while (at && want.bytes[at - 1] != '\n')
			at--;
		fprintf(stderr, "#   %zu bytes expected, %zu seen; at %zu \"%.*s\", not \"%.*s\"\n",
			want.len, got.len, at, (int)strcspn(got.bytes + at, "\n"), got.bytes + at,
			(int)strcspn(want.bytes + at, "\n"), want.bytes + at);
	}
	free(want.bytes);
	free(got.bytes);
	return equal;
}

/*
 * A target that has stopped, with hundreds of runs. Numbers are of pages.
 */
enum {
	HUGE_AT = 0,
	WRITTEN_AT = 512,	/* every second one of 400 */
	SWAPPED_AT = 936,
	PROT_NONE_AT = 944,
	ZERO_AT = 952,
	GAP_AT = 960,
	SPLIT_AT = 1024,	/* a huge page with 512 entries, half of them soft-dirty */
	NR_PAGES = 1536,
};

FIXTURE(view)
{
	char *map;
	pid_t target;
	int maps;
	int walk;
};

static void target_make(void *arg)
{
	char *map = arg;
	int i, ret;

	madvise(map, NR_PAGES * SZ_4K, MADV_HUGEPAGE);
	madvise(map + WRITTEN_AT * SZ_4K, (SPLIT_AT - WRITTEN_AT) * SZ_4K, MADV_NOHUGEPAGE);
	memset(map, 1, WRITTEN_AT * SZ_4K);
	memset(map + SPLIT_AT * SZ_4K, 1, SZ_2M);
	/* What is split stays split: khugepaged would make one page of it, wholly soft-dirty. */
	ret = madvise(map + SPLIT_AT * SZ_4K, SZ_2M, MADV_NOHUGEPAGE);
	mprotect(map + SPLIT_AT * SZ_4K, SZ_4K, PROT_READ);
	mprotect(map + SPLIT_AT * SZ_4K, SZ_4K, PROT_READ | PROT_WRITE);
	for (i = WRITTEN_AT; i < WRITTEN_AT + 400; i += 2)
		map[i * SZ_4K] = 1;
	memset(map + SWAPPED_AT * SZ_4K, 1, (ZERO_AT - SWAPPED_AT) * SZ_4K);
	touch(map + ZERO_AT * SZ_4K, 8 * SZ_4K);
	ret |= page_out(map + SWAPPED_AT * SZ_4K, 8 * SZ_4K);
	ret |= mprotect(map + PROT_NONE_AT * SZ_4K, 8 * SZ_4K, PROT_NONE);
	ret |= munmap(map + GAP_AT * SZ_4K, 8 * SZ_4K);
	ret |= clear_refs(getpid(), "4");
	for (i = SPLIT_AT; i < NR_PAGES; i += 2)
		map[i * SZ_4K] = 2;
	/* Nor does the write bit tell them from the others any more. */
	ret |= mprotect(map + SPLIT_AT * SZ_4K, SZ_2M, PROT_READ);
	if (ret)
		_exit(1);
}

FIXTURE_SETUP(view)
{
	self->map = map_aligned(NR_PAGES * SZ_4K, SZ_2M);
	ASSERT_NE(NULL, self->map);
	self->target = child_stopped(target_make, self->map);
	ASSERT_GT(self->target, 0);
	self->maps = view_open("maps");
	ASSERT_GE(self->maps, 0);
	self->walk = view_open("walk");
	ASSERT_GE(self->walk, 0);
}

FIXTURE_TEARDOWN(view)
{
	process_end(self->target);
	close(self->maps);
	close(self->walk);
}

/*
 * Two texts of the target, of the pages that it alone has. What is shared with others, us
 * among them, may change though the target stands still.
 */
static bool maps_equal_to(struct _test_data_view *self, struct text want, struct text got)
{
	uint64_t start = (uintptr_t)self->map, end = start + NR_PAGES * SZ_4K;
	struct text its = text_within(&want, start, end);
	struct text mine = text_within(&got, start, end);

	free(want.bytes);
	free(got.bytes);
	return texts_equal(its, mine);
}

static bool maps_equal(struct _test_data_view *self, struct text got)
{
	return maps_equal_to(self, text_of_maps(self->target), got);
}

/*
 * What is said.
 */
TEST_F(view, maps_says_what_a_scan_says)
{
	struct text want = text_of_maps(self->target);

	EXPECT_NE(NULL, strstr(want.bytes, "2097152 present"));
	EXPECT_NE(NULL, strstr(want.bytes, "soft_dirty?"));
	EXPECT_NE(NULL, strstr(want.bytes, "swapped swap:"));
	EXPECT_NE(NULL, strstr(want.bytes, "protnone"));
	EXPECT_GT(want.len, 4 * SZ_4K);
	ASSERT_EQ(0, view_choose_pid(self->maps, self->target));
	EXPECT_TRUE(maps_equal(self, view_read(self->maps, 65536)));
}

TEST_F(view, walk_says_what_a_walk_says)
{
	static const size_t pages[] = {
		HUGE_AT + 5, WRITTEN_AT, WRITTEN_AT + 1, SWAPPED_AT, PROT_NONE_AT, ZERO_AT, GAP_AT,
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(pages); i++) {
		char *va = self->map + pages[i] * SZ_4K + i;

		ASSERT_EQ(0, view_choose_address(self->walk, self->target, (uintptr_t)va));
		EXPECT_TRUE(texts_equal(text_of_walk(self->target, va),
					view_read(self->walk, 65536)));
	}
}

TEST_F(view, info_says_what_the_device_says)
{
	struct text want = text_new(), got = text_new();
	struct vminspect_info info;
	struct utsname uts;
	int device = device_open();

	ASSERT_EQ(0, device_info(device, &info));
	ASSERT_EQ(0, uname(&uts));
	text_add(&want, "module %s\nabi %u\nkernel %s\nlevels %u\npage_size %u\npa_bits %u\n",
		 info.version, info.abi, uts.release, info.levels, info.page_size, info.pa_bits);
	text_add(&want, "va_end 0x%" PRIx64 "\nfeatures 0x%" PRIx64 "\n", (uint64_t)info.va_end,
		 (uint64_t)info.features);
	got.len = read_file(DIRECTORY "info", got.bytes, TEXT_ROOM);
	EXPECT_TRUE(texts_equal(want, got));
	close(device);
}

/* As the head of module/debugfs.c has it. */
TEST_F(view, the_documented_commands_work_in_a_shell)
{
	struct text got = text_new();
	char command[256];
	FILE *shell;

	snprintf(command, sizeof(command), "cd " DIRECTORY
		 "; exec 3<>maps; echo %d >&3; cat <&3; exec 3>&-", self->target);
	shell = popen(command, "r");
	ASSERT_NE(NULL, shell);
	got.len = fread(got.bytes, 1, TEXT_ROOM, shell);
	EXPECT_EQ(0, pclose(shell));
	EXPECT_TRUE(maps_equal(self, got));

	got = text_new();
	snprintf(command, sizeof(command), "cd " DIRECTORY
		 "; exec 3<>walk; echo %d %p >&3; cat <&3; exec 3>&-", self->target, self->map);
	shell = popen(command, "r");
	ASSERT_NE(NULL, shell);
	got.len = fread(got.bytes, 1, TEXT_ROOM, shell);
	EXPECT_EQ(0, pclose(shell));
	EXPECT_TRUE(texts_equal(text_of_walk(self->target, self->map), got));
}

TEST_F(view, without_a_choice_the_text_says_how_to_make_one)
{
	struct text text;
	int i;

	for (i = 0; i < 2; i++) {	/* and again from the beginning */
		text = view_read(self->maps, 65536);
		EXPECT_NE(NULL, strstr(text.bytes, "exec 3<>maps; echo PID >&3; cat <&3\n"));
		free(text.bytes);
		text = view_read(self->walk, 1);
		EXPECT_NE(NULL, strstr(text.bytes,
				       "exec 3<>walk; echo PID 0xADDRESS >&3; cat <&3\n"));
		free(text.bytes);
	}
}

/*
 * Reading.
 */
TEST_F_TIMEOUT(view, pieces_of_any_size_make_the_same_text, 60)
{
	static const size_t sizes[] = { 1, 7, 320, 4095, 4096, 4097, 1 << 20 };
	size_t i;

	ASSERT_EQ(0, view_choose_pid(self->maps, self->target));
	for (i = 0; i < ARRAY_LEN(sizes); i++)	/* each time from the beginning */
		EXPECT_TRUE(maps_equal(self, view_read(self->maps, sizes[i])));
	ASSERT_EQ(0, view_choose_address(self->walk, self->target, (uintptr_t)self->map));
	for (i = 0; i < ARRAY_LEN(sizes); i++)
		EXPECT_TRUE(texts_equal(text_of_walk(self->target, self->map),
					view_read(self->walk, sizes[i])));
}

TEST_F(view, two_readers_do_not_disturb_each_other)
{
	struct text mine = text_new(), others = text_new();
	char *second = self->map + WRITTEN_AT * SZ_4K;
	int other = view_open("walk");
	ssize_t got, got_other;

	ASSERT_GE(other, 0);
	ASSERT_EQ(0, view_choose_address(self->walk, self->target, (uintptr_t)self->map));
	ASSERT_EQ(0, view_choose_address(other, self->target, (uintptr_t)second));
	do {
		got = read(self->walk, mine.bytes + mine.len, 10);
		got_other = read(other, others.bytes + others.len, 7);
		ASSERT_GE(got, 0);
		ASSERT_GE(got_other, 0);
		mine.len += got;
		others.len += got_other;
	} while (got && got_other);
	EXPECT_EQ(0, strncmp(mine.bytes, text_of_walk(self->target, self->map).bytes, mine.len));
	EXPECT_EQ(0, strncmp(others.bytes, text_of_walk(self->target, second).bytes,
			     others.len));
	EXPECT_GT(others.len, 100);
	close(other);
}

TEST_F(view, another_choice_begins_from_the_beginning)
{
	char *second = self->map + WRITTEN_AT * SZ_4K, bytes[5000];

	ASSERT_EQ(0, view_choose_address(self->walk, self->target, (uintptr_t)self->map));
	ASSERT_EQ(30, read(self->walk, bytes, 30));
	ASSERT_EQ(0, view_choose_address(self->walk, self->target, (uintptr_t)second));
	EXPECT_TRUE(texts_equal(text_of_walk(self->target, second), view_read(self->walk, 100)));

	ASSERT_EQ(0, view_choose_pid(self->maps, self->target));
	ASSERT_GT(read(self->maps, bytes, sizeof(bytes)), 30);	/* more than a piece */
	ASSERT_GT(read(self->maps, bytes, sizeof(bytes)), 30);
	ASSERT_EQ(0, view_choose_pid(self->maps, self->target));
	EXPECT_TRUE(maps_equal(self, view_read(self->maps, 4096)));
}

TEST_F(view, a_refused_choice_changes_nothing)
{
	struct text text = text_new(), rest;

	ASSERT_EQ(0, view_choose_pid(self->maps, self->target));
	text.len = read(self->maps, text.bytes, 100);
	ASSERT_EQ(100, text.len);
	EXPECT_EQ(-EINVAL, view_choose(self->maps, "nonsense\n"));
	EXPECT_EQ(-ESRCH, view_choose(self->maps, "2\n"));
	rest = view_read(self->maps, 4096);
	text_add(&text, "%s", rest.bytes);
	EXPECT_TRUE(maps_equal(self, text));
}

TEST_F(view, a_bad_buffer_loses_nothing)
{
	char *bad = map_anon(SZ_4K, PROT_READ), *none = map_anon(SZ_4K, PROT_READ);

	ASSERT_EQ(0, munmap(none, SZ_4K));
	ASSERT_EQ(0, view_choose_pid(self->maps, self->target));
	EXPECT_EQ(-1, read(self->maps, none, 100));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, read(self->maps, bad, 100));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(0, read(self->maps, bad, 0));
	EXPECT_TRUE(maps_equal(self, view_read(self->maps, 1000)));
	EXPECT_EQ(-1, write(self->maps, none, 5));
	EXPECT_EQ(EFAULT, errno);
}

TEST_F(view, there_is_no_position)
{
	char byte;

	EXPECT_EQ(-1, lseek(self->maps, 0, SEEK_SET));
	EXPECT_EQ(ESPIPE, errno);
	EXPECT_EQ(-1, pread(self->maps, &byte, 1, 0));
	EXPECT_EQ(ESPIPE, errno);
	EXPECT_EQ(-1, pwrite(self->maps, "1", 1, 0));
	EXPECT_EQ(ESPIPE, errno);
}

static int signals;

static void signal_count(int signal)
{
	(void)signal;
	__atomic_add_fetch(&signals, 1, __ATOMIC_RELAXED);
}

static void storm(unsigned int us)
{
	struct itimerval every = { .it_interval.tv_usec = us, .it_value.tv_usec = us };

	setitimer(ITIMER_REAL, &every, NULL);
}

/* A signal may end a run early, and then what is left of it follows. */
static bool text_refines(const char *whole, const char *parts)
{
	uint64_t start, end, part_start, part_end, at;

	for (; *whole; whole = strchr(whole, '\n') + 1) {
		if (sscanf(whole, "0x%" SCNx64 "-0x%" SCNx64 " ", &start, &end) != 2)
			return false;
		for (at = start; at < end; at = part_end) {
			if (sscanf(parts, "0x%" SCNx64 "-0x%" SCNx64 " ", &part_start,
				   &part_end) != 2 || part_start != at)
				return false;
			parts = strchr(parts, '\n') + 1;
		}
		if (at != end)
			return false;
	}
	return !*parts;
}

/* One run that takes many batches, so that there is something to interrupt. */
#define LONG_SIZE	(1UL << 30)

static void long_make(void *map)
{
	madvise(map, LONG_SIZE, MADV_NOHUGEPAGE);
	touch(map, LONG_SIZE);
}

TEST_F_TIMEOUT(view, a_storm_of_signals_does_not_keep_a_reader_from_the_end, 60)
{
	struct sigaction action = { .sa_handler = signal_count, .sa_flags = SA_RESTART };
	char *map = map_anon(LONG_SIZE, PROT_READ);
	uint64_t start = (uintptr_t)map, end = start + LONG_SIZE;
	struct text all, want, got;
	pid_t pid;
	int i;

	ASSERT_NE(NULL, map);
	pid = child_stopped(long_make, map);
	ASSERT_GT(pid, 0);
	all = text_of_maps(pid);
	want = text_within(&all, start, end);
	sigaction(SIGALRM, &action, NULL);
	ASSERT_EQ(0, view_choose_pid(self->maps, pid));
	for (i = 0; i < 5; i++) {
		storm(500 + 500 * i);
		all = view_read(self->maps, 65536);
		storm(0);
		got = text_within(&all, start, end);
		ASSERT_TRUE(text_refines(want.bytes, got.bytes)) {
			TH_LOG("%s", got.bytes);
		}
		free(all.bytes);
		free(got.bytes);
	}
	EXPECT_GT(__atomic_load_n(&signals, __ATOMIC_RELAXED), 10);
	process_end(pid);
}

/* 200,000 runs, some 16 MB of text. */
#define STREAM_RUNS	200000UL
#define STREAM_SIZE	(2 * STREAM_RUNS * SZ_4K)

static void stream_make(void *map)
{
	size_t at;

	madvise(map, STREAM_SIZE, MADV_NOHUGEPAGE);
	for (at = 0; at < STREAM_SIZE; at += 2 * SZ_4K)
		touch((char *)map + at, 1);
}

static long memory_free(void)
{
	struct sysinfo info;

	return sysinfo(&info) ? -1 : (long)(info.freeram * info.mem_unit);
}

/* Nowhere is the whole text at any time. */
TEST_F_TIMEOUT(view, a_huge_target_takes_no_memory_to_read, 120)
{
	char *map = mmap(NULL, STREAM_SIZE, PROT_READ,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	static char bytes[65536];
	long before, least, now;
	size_t len = 0, lines = 0;
	ssize_t got, i;
	pid_t pid;

	ASSERT_NE(MAP_FAILED, (void *)map);
	pid = child_stopped(stream_make, map);
	ASSERT_GT(pid, 0);
	ASSERT_EQ(0, view_choose_pid(self->maps, pid));
	before = memory_free();
	least = before;
	while ((got = read(self->maps, bytes, sizeof(bytes))) > 0) {
		len += got;
		for (i = 0; i < got; i++)
			lines += bytes[i] == '\n';
		now = memory_free();
		least = now < least ? now : least;
	}
	EXPECT_EQ(0, got);
	EXPECT_GT(lines, STREAM_RUNS);
	EXPECT_LT(before - least, (long)len / 4);
	process_end(pid);
}

/*
 * Choosing.
 */
TEST_F(view, a_choice_that_is_none_is_refused)
{
	static const char * const bad[] = {
		"", "\n", " ", "\t\n", "x", "init", "selfish", "self/", "-1", "+1", "0x1", "1.0",
		"1/../2", "../1", "/1", "1/", ".", "..", "self/../1", "1\n/../2", "1;2", "%d",
		"thread-self", "1 1", "1 0x1000",
		"11111111111111111111111111111111111111111111111111111111111111111",
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++) {
		EXPECT_EQ(-EINVAL, view_choose(self->maps, bad[i])) {
			TH_LOG("\"%s\"", bad[i]);
		}
	}
	EXPECT_EQ(-1, write(self->maps, "1", 0));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F(view, a_choice_without_a_good_address_is_refused)
{
	static const char * const bad[] = {
		"", "self", "self ", "self x", "self 0x", "self 0x1000 1", "self -1", "0x1000",
		"self 0xffff888000000000", "self 0xffffffffffffffff", "self 0x8000000000000000",
		"self 0x10000000000000000", "self 0x0100000000000000", "../1 0x1000",
		"1/../2 0x1000", "self\n0x1000",
	};
	struct vminspect_info info;
	char choice[64];
	int device = device_open();
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++) {
		EXPECT_EQ(-EINVAL, view_choose(self->walk, bad[i])) {
			TH_LOG("\"%s\"", bad[i]);
		}
	}
	ASSERT_EQ(0, device_info(device, &info));
	snprintf(choice, sizeof(choice), "self 0x%" PRIx64, (uint64_t)info.va_end);
	EXPECT_EQ(-EINVAL, view_choose(self->walk, choice));
	snprintf(choice, sizeof(choice), "self 0x%" PRIx64, (uint64_t)info.va_end - 1);
	EXPECT_EQ(0, view_choose(self->walk, choice));
	close(device);
}

TEST_F(view, space_around_a_choice_does_not_matter)
{
	static const char * const formats[] = {
		"%d %p", "%d %p\n", "  %d %p\n\n", "%d\t%p", "%d  \t %p\t\n",
	};
	char choice[64];
	size_t i;

	for (i = 0; i < ARRAY_LEN(formats); i++) {
		snprintf(choice, sizeof(choice), formats[i], self->target, self->map);
		ASSERT_EQ(0, view_choose(self->walk, choice));
		EXPECT_TRUE(texts_equal(text_of_walk(self->target, self->map),
					view_read(self->walk, 4096)));
	}
	snprintf(choice, sizeof(choice), " \t%d\t\n", self->target);
	EXPECT_EQ(0, view_choose(self->maps, choice));
}

TEST_F(view, self_is_the_one_who_writes)
{
	struct text text;
	char line[32];

	self->map[0] = 1;	/* here it was not touched before */
	snprintf(line, sizeof(line), "0x%" PRIxPTR "-", (uintptr_t)self->map);
	ASSERT_EQ(0, view_choose(self->maps, "self\n"));
	text = view_read(self->maps, 65536);
	EXPECT_NE(NULL, strstr(text.bytes, line));
}

TEST_F(view, a_process_that_does_not_exist_is_not_found)
{
	static const char * const nobody[] = { "0", "4194305", "99999999999999999999", "0001" };
	pid_t pid = fork();
	size_t i;

	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
	EXPECT_EQ(-ESRCH, view_choose_pid(self->maps, pid));
	EXPECT_EQ(-ESRCH, view_choose_address(self->walk, pid, 0x1000));
	for (i = 0; i < ARRAY_LEN(nobody); i++) {
		EXPECT_EQ(-ESRCH, view_choose(self->maps, nobody[i])) {
			TH_LOG("number %zu", i);
		}
	}
}

TEST_F(view, nobody_is_found_in_a_zombie_or_a_kernel_thread)
{
	siginfo_t info;
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	ASSERT_EQ(0, waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
	EXPECT_EQ(-ESRCH, view_choose_pid(self->maps, pid));
	EXPECT_EQ(-ESRCH, view_choose_address(self->walk, pid, 0x1000));
	waitpid(pid, NULL, 0);
	EXPECT_EQ(-ESRCH, view_choose(self->maps, "2"));
	EXPECT_EQ(-ESRCH, view_choose(self->walk, "2 0x1000"));
}

TEST_F(view, nobody_is_found_once_the_target_has_exited)
{
	char bytes[4096];
	int begun = view_open("maps");
	ssize_t got;

	ASSERT_EQ(0, view_choose_pid(self->maps, self->target));
	ASSERT_EQ(0, view_choose_address(self->walk, self->target, (uintptr_t)self->map));
	ASSERT_EQ(0, view_choose_pid(begun, self->target));
	ASSERT_EQ(1, read(begun, bytes, 1));
	process_end(self->target);
	EXPECT_EQ(-1, read(self->maps, bytes, sizeof(bytes)));
	EXPECT_EQ(ESRCH, errno);
	EXPECT_EQ(-1, read(self->walk, bytes, sizeof(bytes)));
	EXPECT_EQ(ESRCH, errno);
	/* What had been printed is still there, but no more than that piece. */
	got = read(begun, bytes, sizeof(bytes));
	EXPECT_GT(got, 0);
	EXPECT_EQ(-1, read(begun, bytes, sizeof(bytes)));
	EXPECT_EQ(ESRCH, errno);

	ASSERT_EQ(0, view_choose(self->maps, "self"));	/* and it can be used on */
	EXPECT_GT(read(self->maps, bytes, sizeof(bytes)), 0);
	close(begun);
}

/*
 * It is the file's opener whose credentials count, whoever reads and writes.
 */
static int choose_and_read_as_user(void *arg)
{
	struct _test_data_view *self = arg;
	struct text want = text_of_maps(self->target);

	if (setgroups(0, NULL) || setresgid(USER, USER, USER) || setresuid(USER, USER, USER))
		return 1;
	if (view_choose_pid(self->maps, self->target))
		return 2;
	return maps_equal_to(self, want, view_read(self->maps, 4096)) ? 0 : 3;
}

TEST_F(view, a_file_opened_by_root_shows_frames_to_whom_it_is_handed)
{
	EXPECT_EQ(0, child_run(choose_and_read_as_user, self));
}

/* Root in name, but without a capability here: the files are its own. */
static int read_in_namespace(void *arg)
{
	struct _test_data_view *self = arg;
	int maps, walk;
	struct text text;

	if (unshare(CLONE_NEWUSER))
		return errno == EPERM || errno == ENOSPC ? 77 : 1;
	self->map[0] = 1;
	maps = view_open("maps");
	walk = view_open("walk");
	if (view_choose_pid(maps, getpid()) ||
	    view_choose_address(walk, getpid(), (uintptr_t)self->map))
		return 2;
	text = view_read(maps, 4096);
	if (!strstr(text.bytes, " present hidden ") || strstr(text.bytes, "pfn:"))
		return 3;
	text = view_read(walk, 4096);
	if (!strstr(text.bytes, "] hidden present,") || !strstr(text.bytes, " hidden "))
		return 4;
	return strstr(text.bytes, "pfn:") || strstr(text.bytes, "root") ||
	       strstr(text.bytes, "= 0x") ? 5 : 0;
}

TEST_F(view, a_file_opened_without_the_capability_shows_no_frames)
{
	int ret = child_run(read_in_namespace, self);

	if (ret == 77)
		SKIP(return, "this kernel does not let us make a user namespace");
	EXPECT_EQ(0, ret);
}

static int choose_in_namespace(void *arg)
{
	struct _test_data_view *self = arg;
	int maps;

	if (unshare(CLONE_NEWUSER))
		return 77;
	maps = view_open("maps");
	return maps < 0 ? 1 : -view_choose_pid(maps, self->target);
}

/* The target has all capabilities of root, the opener none. */
TEST_F(view, a_process_that_the_opener_may_not_look_into_is_refused)
{
	int ret = child_run(choose_in_namespace, self);

	if (ret == 77)
		SKIP(return, "this kernel does not let us make a user namespace");
	EXPECT_EQ(EACCES, ret);
}

/* In a /proc of the caller's own making, where "7/pagemap" is what he likes. */
static int choose_what_is_no_pagemap(void *arg)
{
	struct _test_data_view *self = arg;
	int there, link_there, link_nowhere;

	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/proc", "tmpfs", 0, NULL) || mkdir("/proc/7", 0755))
		return 1;
	if (symlink("/etc/passwd", "/proc/7/pagemap"))
		return 2;
	link_there = view_choose_pid(self->maps, 7);
	if (unlink("/proc/7/pagemap") || symlink("/etc/nowhere", "/proc/7/pagemap"))
		return 3;
	link_nowhere = view_choose_pid(self->maps, 7);
	if (unlink("/proc/7/pagemap") || close(creat("/proc/7/pagemap", 0600)))
		return 4;
	there = view_choose_pid(self->maps, 7);
	return link_there == -ESRCH && link_nowhere == -ESRCH && there == -ESRCH ? 0 : 5;
}

/* Else whoever is handed a descriptor could have any file opened by its opener. */
TEST_F(view, only_a_pagemap_of_procfs_is_opened_for_the_holder_of_a_file)
{
	EXPECT_EQ(0, child_run(choose_what_is_no_pagemap, self));
}

/* A piece of text for each open file, a target for each choice. */
TEST_F_TIMEOUT(view, open_files_and_choices_leave_nothing_behind, 120)
{
	long before = meminfo_kb("SUnreclaim");
	int i;

	ASSERT_LT(0, before);
	for (i = 0; i < 20000 / (int)time_scale(); i++) {
		int maps = view_open("maps");

		ASSERT_LE(0, maps);
		ASSERT_EQ(0, view_choose(maps, "self"));
		ASSERT_EQ(0, view_choose_pid(maps, self->target));
		close(maps);
	}
	if (leaks_are_looked_for())
		SKIP(return, "this kernel keeps what was freed, and tells what was not");
	EXPECT_LT(meminfo_kb("SUnreclaim"), before + 1024);
}

TEST_F(view, an_open_file_keeps_the_module)
{
	close(self->walk);
	EXPECT_EQ(-EAGAIN, module_unload());
	close(self->maps);
	EXPECT_EQ(0, module_unload());
	EXPECT_EQ(-ENOENT, view_open("maps"));
	EXPECT_EQ(0, module_load(NULL));
	self->maps = view_open("maps");
	EXPECT_GE(self->maps, 0);
}

TEST_HARNESS_MAIN
