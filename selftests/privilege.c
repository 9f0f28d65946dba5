// SPDX-License-Identifier: GPL-2.0
/*
 * Promise: the openers of the device and of the pagemap decide what is seen. Nobody without
 * CAP_SYS_ADMIN in the initial user namespace gets a byte from which a frame or a place in
 * swap could be told, and everybody gets all the rest. Whom the kernel does not let look
 * into a process we do not let either, and the device is root's unless root says otherwise.
 *
 * machines: default la57 lockdown
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"

#include "common.h"

#define USER	1000
#define OTHER	1001

/* For good: without any capability, and visible to others of that user. */
static int become(uid_t uid)
{
	gid_t gid = uid;

	if (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
		return -errno;
	return prctl(PR_SET_DUMPABLE, 1) ? -errno : 0;
}

/* For a while, in between. */
static void user_begin(void)
{
	if (setresgid(USER, USER, 0) || setresuid(USER, USER, 0))
		_exit(99);
}

static void user_end(void)
{
	if (setresuid(0, 0, 0) || setresgid(0, 0, 0))
		_exit(99);
}

/*
 * A target that belongs to the user: a stopped child with pages of which frames or slots
 * could be told. Numbers are of pages.
 */
enum {
	SAME_AT = 0,		/* one page of shared memory, mapped 16 times */
	WRITTEN_AT = 16,
	ZERO_AT = 24,
	NONE_AT = 32,
	PROT_NONE_AT = 40,
	SWAPPED_AT = 48,	/* two areas, slots in no order */
	GAP_AT = 56,
	NR_PAGES = 64,
};

/*
 * Swap areas of our own, where there is room for them: they are preferred, and if there was one
 * before them, their numbers are not 0, which can't be told from a hidden one. Places in an area
 * are taken in advance; swapoff gives those back (mm/swap_slots.c). The second one is preferred as
 * soon as it is there.
 */
static int shell(void *command)
{
	execl("/bin/sh", "sh", "-c", command, NULL);
	return 127;
}

/* Another test may have left it with fewer devices. */
#define SWAP_ON_FIRST	"exec >/dev/null 2>&1; rmmod zram; modprobe zram num_devices=2 &&"	\
			"echo 64M >/sys/block/zram0/disksize && mkswap /dev/zram0 &&"	\
			"swapon /dev/zram0 && swapoff /dev/zram0 && swapon -p 100 /dev/zram0"
#define SWAP_ON_SECOND	"exec >/dev/null 2>&1; test -b /dev/zram1 &&"			\
			"echo 64M >/sys/block/zram1/disksize && mkswap /dev/zram1 &&"	\
			"swapon /dev/zram1 && swapoff /dev/zram1 && swapon -p 200 /dev/zram1"
#define SWAP_OFF	"exec >/dev/null 2>&1; swapoff /dev/zram0; swapoff /dev/zram1;"	\
			"rmmod zram"

/*
 * A processor goes on in the cluster of SWAPFILE_CLUSTER slots that it took one from before, until
 * it is full, whatever other area is preferred by then.
 */
static int use_up_places(void)
{
	char *map = map_small(512 * SZ_4K);

	if (!map)
		return -ENOMEM;
	memset(map, 1, 512 * SZ_4K);
	return page_out(map, 512 * SZ_4K);
}

/* One by one, so that no slot follows the one before it, and half of them to each area. */
static int page_out_apart(char *map)
{
	int i, ret = 0;

	for (i = 0; i < 8; i++) {
		if (i == 4) {
			child_run(shell, SWAP_ON_SECOND);
			ret |= use_up_places();
		}
		ret |= page_out(map + (i ^ 1) * SZ_4K, SZ_4K);
	}
	return ret;
}

static void target_make(void *arg)
{
	char *map = arg;
	int fd = memfd(SZ_4K, 0), i, ret = 0;

	for (i = 0; i < 16; i++)
		ret |= mmap(map + (SAME_AT + i) * SZ_4K, SZ_4K, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0) == MAP_FAILED;
	memset(map + WRITTEN_AT * SZ_4K, 1, 8 * SZ_4K);
	touch(map + ZERO_AT * SZ_4K, 8 * SZ_4K);
	memset(map + PROT_NONE_AT * SZ_4K, 1, 16 * SZ_4K);
	ret |= mprotect(map + PROT_NONE_AT * SZ_4K, 8 * SZ_4K, PROT_NONE);
	ret |= page_out_apart(map + SWAPPED_AT * SZ_4K);
	ret |= munmap(map + GAP_AT * SZ_4K, 8 * SZ_4K);
	if (ret || become(USER))
		_exit(1);
}

/* What a scan returns. */
enum { RUNS, PAGES, WORDS, NR_FORMS };

/*
 * All that can be asked of the target, with every byte that came back.
 */
struct replies {
	struct vminspect_info info;
	struct vminspect_bind bind;
	struct vminspect_scan scan[NR_FORMS];
	struct vminspect_extent extents[2][2 * NR_PAGES];
	uint64_t words[2 * NR_PAGES];
	struct vminspect_entry kinds[VMINSPECT_MAX_KINDS];
	struct vminspect_translate translate;
	uint64_t addresses[NR_PAGES];
	struct vminspect_entry entries[NR_PAGES];
	struct vminspect_walk walks[NR_PAGES];
	int error;
};

static int replies_scan(struct replies *replies, int device, const char *map, uint64_t mask,
			int form)
{
	struct vminspect_scan *scan = &replies->scan[form];

	*scan = (struct vminspect_scan){
		.start = (uintptr_t)map,
		.end = (uintptr_t)map + NR_PAGES * SZ_4K,
		.nr_extents = 2 * NR_PAGES,
		.return_mask = mask,
	};
	if (form == WORDS) {
		scan->flags = VMINSPECT_SCAN_PACKED;
		scan->extents = (uintptr_t)replies->words;
		scan->kinds = (uintptr_t)replies->kinds;
		scan->nr_kinds = ARRAY_LEN(replies->kinds);
	} else {
		scan->flags = form == PAGES ? VMINSPECT_SCAN_PAGES : 0;
		scan->extents = (uintptr_t)replies->extents[form];
		scan->split_mask = mask & VMINSPECT_PAGE_FLAGS;
	}
	return device_scan(device, scan);
}

static int replies_translate(struct replies *replies, int device, const char *map,
			     uint64_t mask)
{
	struct vminspect_translate *translate = &replies->translate;
	int i;

	for (i = 0; i < NR_PAGES; i++)
		replies->addresses[i] = (uintptr_t)map + i * SZ_4K;
	*translate = (struct vminspect_translate){
		.size = sizeof(*translate),
		.addresses = (uintptr_t)replies->addresses,
		.entries = (uintptr_t)replies->entries,
		.nr = NR_PAGES,
		.entry_size = sizeof(replies->entries[0]),
		.return_mask = mask,
	};
	return ioctl(device, VMINSPECT_IOC_TRANSLATE, translate) ? -errno : 0;
}

/* What differs from one caller to the next because they are two. */
static void replies_normalize(struct replies *replies)
{
	int i;

	replies->bind.fd = 0;
	replies->translate.addresses = 0;
	replies->translate.entries = 0;
	replies->translate.return_mask = 0;
	for (i = 0; i < NR_FORMS; i++) {
		replies->scan[i].extents = 0;
		replies->scan[i].kinds = 0;
		replies->scan[i].return_mask = 0;
		replies->scan[i].split_mask = 0;
	}
}

static int replies_take(struct replies *replies, int device, int pagemap, const char *map,
			uint64_t mask)
{
	int ret, i;

	memset(replies, 0, sizeof(*replies));
	ret = device_info(device, &replies->info);
	replies->bind.size = sizeof(replies->bind);
	replies->bind.fd = pagemap;
	if (!ret && ioctl(device, VMINSPECT_IOC_BIND, &replies->bind))
		ret = -errno;
	for (i = 0; i < NR_FORMS && !ret; i++)
		ret = replies_scan(replies, device, map, mask, i);
	if (!ret)
		ret = replies_translate(replies, device, map, mask);
	for (i = 0; i < NR_PAGES && !ret; i++)
		ret = device_walk(device, (uintptr_t)map + i * SZ_4K, &replies->walks[i]);
	replies_normalize(replies);
	return ret;
}

/* From what root got without asking for frames: what somebody has to get who may not. */
static void replies_censor(struct replies *replies, uint32_t hidden)
{
	struct vminspect_walk *walk;
	int i, level;

	replies->info.hidden = hidden;
	replies->bind.hidden = hidden;
	for (i = 0; i < NR_FORMS; i++)
		replies->scan[i].hidden = hidden;
	replies->translate.hidden = hidden;
	for (i = 0; i < NR_PAGES; i++) {
		walk = &replies->walks[i];
		walk->hidden = hidden;
		walk->root = 0;
		walk->entry.frame = 0;
		walk->entry.swap_type = 0;
		for (level = 0; level < VMINSPECT_MAX_LEVELS; level++) {
			walk->levels[level].entry_pa = 0;
			walk->levels[level].raw = 0;
		}
	}
}

/*
 * A device that everybody may open.
 */
FIXTURE(anybody)
{
	char *map;
	pid_t target;
	struct replies *replies;	/* shared with children */
	uint64_t mask;			/* what a user asks for */
	long mode;
	bool swap;
};

static long module_mode(void)
{
	return read_number("/sys/module/vminspect/parameters/mode");
}

static int module_reload(const char *parameters)
{
	int ret = module_unload();

	return ret == 0 || ret == -ENOENT ? module_load(parameters) : ret;
}

static int module_reload_mode(long mode)
{
	char parameters[32];

	snprintf(parameters, sizeof(parameters), "mode=0%lo", mode);
	return module_reload(parameters);
}

static void anybody_begin(struct __test_metadata *_metadata, struct _test_data_anybody *self)
{
	self->mode = module_mode();
	ASSERT_EQ(0, module_reload("mode=0666"));
	self->map = map_anon(NR_PAGES * SZ_4K, PROT_READ | PROT_WRITE);
	ASSERT_NE(NULL, self->map);
	madvise(self->map, NR_PAGES * SZ_4K, MADV_NOHUGEPAGE);
	self->replies = mmap(NULL, sizeof(*self->replies), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	self->swap = !child_run(shell, SWAP_ON_FIRST);
	self->target = child_stopped(target_make, self->map);
	ASSERT_GT(self->target, 0);
}

static void anybody_end(struct __test_metadata *_metadata, struct _test_data_anybody *self)
{
	process_end(self->target);
	if (self->swap)
		child_run(shell, SWAP_OFF);
	EXPECT_EQ(0, module_reload_mode(self->mode));
}

FIXTURE_SETUP(anybody)
{
	anybody_begin(_metadata, self);
}

FIXTURE_TEARDOWN(anybody)
{
	anybody_end(_metadata, self);
}

static int replies_take_as_root(struct _test_data_anybody *self, struct replies *replies,
				uint64_t mask)
{
	int device = device_open(), pagemap = pagemap_open(self->target);
	int ret = replies_take(replies, device, pagemap, self->map, mask);

	close(pagemap);
	close(device);
	return ret;
}

static int replies_take_as_user(void *arg)
{
	struct _test_data_anybody *self = arg;

	if (become(USER))
		return 1;
	return -replies_take(self->replies, device_open(), pagemap_open(self->target), self->map,
			     self->mask);
}

/* Those for which pages are looked at, and those for which entries are taken in passing. */
static const uint64_t masks[] = {
	RETURN_ALL | VMINSPECT_RETURN_NODE,
	RETURN_QUICK,
	VMINSPECT_RETURN_FRAME,
};

/* Is there a frame or a slot in any word? */
static bool words_tell(const struct replies *replies)
{
	const struct vminspect_entry *kind;
	uint64_t told = 0;
	uint32_t i;

	for (i = 0; i < replies->scan[WORDS].nr_filled; i++) {
		if (VMINSPECT_WORD_KIND(replies->words[i]) >= ARRAY_LEN(replies->kinds))
			return true;	/* of no kind: all pages are selected */
		kind = &replies->kinds[VMINSPECT_WORD_KIND(replies->words[i])];
		told |= kind->frame | kind->swap_type;
		if (kind->state != VMINSPECT_STATE_NONE && kind->state != VMINSPECT_STATE_UNMAPPED)
			told |= VMINSPECT_WORD_NUMBER(replies->words[i]);
	}
	return told;
}

/* Is there a frame or a slot in any of them? */
static bool replies_tell(const struct replies *replies)
{
	uint64_t told = words_tell(replies);
	int i, j;

	for (i = 0; i < 2; i++)
		for (j = 0; j < 2 * NR_PAGES; j++)
			told |= replies->extents[i][j].frame | replies->extents[i][j].swap_type;
	for (i = 0; i < NR_PAGES; i++) {
		told |= replies->entries[i].frame | replies->entries[i].swap_type;
		told |= replies->walks[i].entry.frame | replies->walks[i].entry.swap_type |
			replies->walks[i].root;
		for (j = 0; j < VMINSPECT_MAX_LEVELS; j++)
			told |= replies->walks[i].levels[j].entry_pa |
				replies->walks[i].levels[j].raw;
	}
	return told;
}

static int swap_areas(void)
{
	char text[4096], *line = text;
	int lines = 0;

	if (read_file("/proc/swaps", text, sizeof(text)) <= 0)
		return 0;
	while ((line = strchr(line, '\n'))) {
		line++;
		lines++;
	}
	return lines - 1;	/* without the head */
}

/* Root's replies say something that can be hidden, or the next test would test less. */
TEST_F(anybody, root_sees_frames_and_slots)
{
	const struct vminspect_entry *entries = self->replies->entries;
	const struct vminspect_walk *walk;
	int pagemap = pagemap_open(self->target), i;
	uint64_t seen;

	ASSERT_EQ(0, replies_take_as_root(self, self->replies, RETURN_ALL));
	EXPECT_EQ(0, self->replies->info.hidden);
	EXPECT_EQ(0, self->replies->bind.hidden);
	for (i = 0; i < NR_PAGES; i++) {
		seen = pagemap_entry(pagemap, self->map + i * SZ_4K);
		walk = &self->replies->walks[i];
		EXPECT_EQ(NULL, pagemap_differs(&entries[i], seen));
		EXPECT_EQ(entries[i].frame, walk->entry.frame);
		if (entries[i].state == VMINSPECT_STATE_UNMAPPED)
			continue;
		EXPECT_NE(0, walk->root);
		EXPECT_NE(0, walk->levels[0].entry_pa);
		EXPECT_NE(0, walk->levels[0].raw);
	}
	EXPECT_EQ(VMINSPECT_STATE_SWAPPED, entries[SWAPPED_AT].state);
	EXPECT_NE(0, entries[SWAPPED_AT + 1].frame);
	EXPECT_TRUE(replies_tell(self->replies));
	EXPECT_TRUE(words_tell(self->replies));
	if (!self->swap)
		return;
	for (i = SWAPPED_AT; i < SWAPPED_AT + 7; i++)
		EXPECT_FALSE(entries[i].frame + 1 == entries[i + 1].frame &&
			     entries[i].swap_type == entries[i + 1].swap_type);
	EXPECT_EQ(swap_areas() - 2, entries[SWAPPED_AT].swap_type);
	EXPECT_EQ(swap_areas() - 1, entries[SWAPPED_AT + 7].swap_type);
}

/* ... however it asks for them. */
TEST_F(anybody, root_sees_the_same_with_each_mask)
{
	struct replies *replies = self->replies;
	struct vminspect_entry all[NR_PAGES];
	size_t i, page;

	for (i = 0; i < ARRAY_LEN(masks); i++) {
		ASSERT_EQ(0, replies_take_as_root(self, replies, masks[i]));
		EXPECT_TRUE(replies_tell(replies));
		if (!i)
			memcpy(all, replies->entries, sizeof(all));
		for (page = 0; page < NR_PAGES; page++) {
			EXPECT_EQ(all[page].frame, replies->entries[page].frame);
			EXPECT_EQ(all[page].swap_type, replies->entries[page].swap_type);
			EXPECT_EQ(all[page].flags & masks[i], replies->entries[page].flags);
		}
	}
}

static void expect_alike(struct __test_metadata *_metadata, struct _test_data_anybody *self)
{
	struct replies root, *user = self->replies;

	ASSERT_EQ(0, replies_take_as_root(self, &root, self->mask & ~VMINSPECT_RETURN_FRAME));
	replies_censor(&root, VMINSPECT_HIDDEN_CAPABILITY);
	ASSERT_EQ(0, child_run(replies_take_as_user, self));
	EXPECT_FALSE(replies_tell(user))
		TH_LOG("asked for %#" PRIx64, self->mask);
	EXPECT_EQ(0, memcmp(&root.info, &user->info, sizeof(user->info)));
	EXPECT_EQ(0, memcmp(&root.bind, &user->bind, sizeof(user->bind)));
	EXPECT_EQ(0, memcmp(root.scan, user->scan, sizeof(user->scan)));
	EXPECT_EQ(0, memcmp(root.extents, user->extents, sizeof(user->extents)));
	EXPECT_EQ(0, memcmp(root.words, user->words, sizeof(user->words)));
	EXPECT_EQ(0, memcmp(root.kinds, user->kinds, sizeof(user->kinds)));
	EXPECT_EQ(0, memcmp(&root.translate, &user->translate, sizeof(user->translate)));
	EXPECT_EQ(0, memcmp(root.entries, user->entries, sizeof(user->entries)));
	EXPECT_EQ(0, memcmp(root.walks, user->walks, sizeof(user->walks)));
}

TEST_F(anybody, a_user_gets_byte_for_byte_what_root_gets_without_frames)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(masks); i++) {
		self->mask = masks[i];
		expect_alike(_metadata, self);
	}
}

/* How many extents lie between two pages? */
static uint32_t runs_between(const struct replies *replies, const char *map, int first, int end)
{
	uint32_t i, runs = 0;

	for (i = 0; i < replies->scan[0].nr_filled; i++)
		runs += replies->extents[0][i].start < (uintptr_t)map + end * SZ_4K &&
			replies->extents[0][i].end > (uintptr_t)map + first * SZ_4K;
	return runs;
}

/* Where frames do not follow one another, nor slots, nor areas: to the user it is one run. */
TEST_F(anybody, the_ends_of_runs_tell_a_user_nothing)
{
	struct replies root, *user = self->replies;
	const char *map = self->map;
	size_t i;

	for (i = 0; i < ARRAY_LEN(masks); i++) {
		self->mask = masks[i];
		ASSERT_EQ(0, replies_take_as_root(self, &root, masks[i]));
		ASSERT_EQ(0, child_run(replies_take_as_user, self));
		EXPECT_EQ(16, runs_between(&root, map, SAME_AT, SAME_AT + 16));
		EXPECT_EQ(1, runs_between(user, map, SAME_AT, SAME_AT + 16));
		if (self->swap)
			EXPECT_EQ(8, runs_between(&root, map, SWAPPED_AT, SWAPPED_AT + 8));
		EXPECT_EQ(1, runs_between(user, map, SWAPPED_AT, SWAPPED_AT + 8));
	}
}

/*
 * Who opened what, whoever uses it. What was seen of the target's first written page:
 */
struct seen {
	uint32_t info_hidden;
	uint32_t bind_hidden;
	uint64_t frame;
	uint8_t state;
	int error;
};

struct watched {
	struct _test_data_anybody anybody;
	struct seen *seen;	/* shared with children */
	uint64_t frame;
};

static void watched_setup(struct __test_metadata *_metadata, struct watched *watched)
{
	int pagemap;

	anybody_begin(_metadata, &watched->anybody);
	watched->seen = mmap(NULL, sizeof(*watched->seen), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pagemap = pagemap_open(watched->anybody.target);
	watched->frame = pagemap_entry(pagemap, watched->anybody.map + WRITTEN_AT * SZ_4K) &
			 PM_PFN_MASK;
	close(pagemap);
	ASSERT_NE(0, watched->frame);
}

FIXTURE(openers)
{
	struct watched watched;
};

FIXTURE_VARIANT(openers)
{
	bool device_by_user;
	bool pagemap_by_user;
};

FIXTURE_VARIANT_ADD(openers, both_root)
{
};

FIXTURE_VARIANT_ADD(openers, pagemap_user)
{
	.pagemap_by_user = true,
};

FIXTURE_VARIANT_ADD(openers, device_user)
{
	.device_by_user = true,
};

FIXTURE_VARIANT_ADD(openers, both_user)
{
	.device_by_user = true,
	.pagemap_by_user = true,
};

FIXTURE_SETUP(openers)
{
	watched_setup(_metadata, &self->watched);
}

FIXTURE_TEARDOWN(openers)
{
	anybody_end(_metadata, &self->watched.anybody);
}

static int open_as(bool user, int (*open_it)(pid_t target), pid_t target)
{
	int fd;

	if (user)
		user_begin();
	fd = open_it(target);
	if (user)
		user_end();
	return fd;
}

static int device_open_for(pid_t target)
{
	(void)target;
	return device_open();
}

static void look(struct seen *seen, int device, int pagemap, const char *page)
{
	struct vminspect_bind bind = { .size = sizeof(bind), .fd = pagemap };
	struct vminspect_entry entry = { 0 };
	struct vminspect_info info;

	seen->error = device_info(device, &info);
	if (ioctl(device, VMINSPECT_IOC_BIND, &bind))
		seen->error = -errno;
	seen->error = seen->error ?: device_lookup(device, page, &entry);
	seen->info_hidden = info.hidden;
	seen->bind_hidden = bind.hidden;
	seen->frame = entry.frame;
	seen->state = entry.state;
}

struct opening {
	struct watched *watched;
	const struct _fixture_variant_openers *variant;
	bool used_by_user;
};

static int open_and_look(void *arg)
{
	struct opening *opening = arg;
	struct watched *watched = opening->watched;
	pid_t target = watched->anybody.target;
	int device = open_as(opening->variant->device_by_user, device_open_for, target);
	int pagemap = open_as(opening->variant->pagemap_by_user, pagemap_open, target);

	if (opening->used_by_user && become(USER))
		return 1;
	look(watched->seen, device, pagemap, watched->anybody.map + WRITTEN_AT * SZ_4K);
	return 0;
}

TEST_F(openers, decide_what_is_seen_and_users_do_not)
{
	struct opening opening = { .watched = &self->watched, .variant = variant };
	const struct seen *seen = self->watched.seen;
	bool hidden = variant->device_by_user || variant->pagemap_by_user;
	int i;

	for (i = 0; i < 2; i++) {
		opening.used_by_user = i;
		ASSERT_EQ(0, child_run(open_and_look, &opening));
		EXPECT_EQ(0, seen->error);
		EXPECT_EQ(variant->device_by_user ? VMINSPECT_HIDDEN_CAPABILITY : 0,
			  seen->info_hidden);
		EXPECT_EQ(hidden ? VMINSPECT_HIDDEN_CAPABILITY : 0, seen->bind_hidden);
		EXPECT_EQ(VMINSPECT_STATE_PRESENT, seen->state);
		EXPECT_EQ(hidden ? 0 : self->watched.frame, seen->frame);
	}
}

/* It may have been bound before, and the user is somebody else by now. */
static int look_drop_look(void *arg)
{
	struct opening *opening = arg;
	struct watched *watched = opening->watched;
	pid_t target = watched->anybody.target;
	int device = open_as(opening->variant->device_by_user, device_open_for, target);
	int pagemap = open_as(opening->variant->pagemap_by_user, pagemap_open, target);
	struct vminspect_entry entry;

	look(watched->seen, device, pagemap, watched->anybody.map + WRITTEN_AT * SZ_4K);
	if (become(USER))
		return 1;
	if (device_lookup(device, watched->anybody.map + WRITTEN_AT * SZ_4K, &entry))
		return 2;
	return entry.frame != watched->seen->frame || entry.state != watched->seen->state;
}

TEST_F(openers, keep_what_they_saw_when_the_user_changes)
{
	struct opening opening = { .watched = &self->watched, .variant = variant };

	ASSERT_EQ(0, child_run(look_drop_look, &opening));
}

/*
 * It is the one capability that counts, in the initial user namespace, and nothing else.
 */
FIXTURE(capability)
{
	struct watched watched;
};

FIXTURE_SETUP(capability)
{
	watched_setup(_metadata, &self->watched);
}

FIXTURE_TEARDOWN(capability)
{
	anybody_end(_metadata, &self->watched.anybody);
}

static int capabilities_keep(uint64_t mask)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ .effective = mask, .permitted = mask },
		{ .effective = mask >> 32, .permitted = mask >> 32 },
	};

	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

static void look_at_target(struct watched *watched)
{
	look(watched->seen, device_open(), pagemap_open(watched->anybody.target),
	     watched->anybody.map + WRITTEN_AT * SZ_4K);
}

static int look_as_root_without(void *arg)
{
	if (capabilities_keep(~(1ULL << CAP_SYS_ADMIN) & ((1ULL << 38) - 1)))
		return 1;
	look_at_target(arg);
	return 0;
}

static int look_as_user_with(void *arg)
{
	if (prctl(PR_SET_KEEPCAPS, 1) || become(USER) || capabilities_keep(1ULL << CAP_SYS_ADMIN))
		return 1;
	look_at_target(arg);
	return 0;
}

static int look_as_user_with_all_others(void *arg)
{
	if (prctl(PR_SET_KEEPCAPS, 1) || become(USER))
		return 1;
	return look_as_root_without(arg);
}

/* Return: 0 if what is of all processes stays closed, and what is about one asks the kernel */
static int open_views_as_root_without(void *arg)
{
	static const char *const closed[] = { "guests", "events" };
	char path[64];
	size_t i;

	(void)arg;
	if (capabilities_keep(~(1ULL << CAP_SYS_ADMIN) & ((1ULL << 38) - 1)))
		return 10;
	for (i = 0; i < ARRAY_LEN(closed); i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/vminspect/%s", closed[i]);
		if (open(path, O_RDONLY) >= 0 || errno != EPERM)
			return 1 + i;
	}
	return open("/sys/kernel/debug/vminspect/maps", O_RDWR) < 0 ? 11 : 0;
}

TEST_F(capability, is_needed_for_the_views_of_all_processes)
{
	if (access("/sys/kernel/debug/vminspect/guests", F_OK))
		SKIP(return, "debugfs");
	EXPECT_EQ(0, child_run(open_views_as_root_without, NULL));
}

TEST_F(capability, is_needed_by_root_and_enough_for_a_user)
{
	int (*const without[])(void *arg) = {
		look_as_root_without, look_as_user_with_all_others,
	};
	const struct seen *seen = self->watched.seen;
	size_t i;

	for (i = 0; i < ARRAY_LEN(without); i++) {
		ASSERT_EQ(0, child_run(without[i], &self->watched));
		EXPECT_EQ(0, seen->error);
		EXPECT_EQ(VMINSPECT_HIDDEN_CAPABILITY, seen->bind_hidden);
		EXPECT_EQ(0, seen->frame);
	}
	ASSERT_EQ(0, child_run(look_as_user_with, &self->watched));
	EXPECT_EQ(0, seen->error);
	EXPECT_EQ(0, seen->bind_hidden);
	EXPECT_EQ(self->watched.frame, seen->frame);
}

/* All capabilities, but in a namespace of its own; looks at itself. */
static int look_in_namespace(void *arg)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	struct watched *watched = arg;

	if (unshare(CLONE_NEWUSER))
		return errno == EPERM || errno == ENOSPC ? 77 : 1;
	if (syscall(SYS_capget, &header, data) || !(data[0].effective & 1U << CAP_SYS_ADMIN))
		return 2;
	watched->anybody.map[0] = 1;
	look(watched->seen, device_open(), pagemap_open(getpid()), watched->anybody.map);
	return 0;
}

static int look_in_namespace_as_user(void *arg)
{
	return become(USER) ? 1 : look_in_namespace(arg);
}

TEST_F(capability, is_needed_in_the_initial_namespace)
{
	int (*const looks[])(void *arg) = { look_in_namespace, look_in_namespace_as_user };
	const struct seen *seen = self->watched.seen;
	size_t i;
	int ret;

	for (i = 0; i < ARRAY_LEN(looks); i++) {
		ret = child_run(looks[i], &self->watched);
		if (ret == 77)
			SKIP(return, "this kernel does not let us make a user namespace");
		ASSERT_EQ(0, ret);
		EXPECT_EQ(0, seen->error);
		EXPECT_EQ(VMINSPECT_HIDDEN_CAPABILITY, seen->info_hidden);
		EXPECT_EQ(VMINSPECT_HIDDEN_CAPABILITY, seen->bind_hidden);
		EXPECT_EQ(VMINSPECT_STATE_PRESENT, seen->state);
		EXPECT_EQ(0, seen->frame);
	}
}

/*
 * Whose processes can be looked into at all: the kernel says so, when pagemap is opened.
 */
static int errno_of_pagemap(void *pid)
{
	int pagemap;

	if (become(USER))
		return 255;
	pagemap = pagemap_open(*(pid_t *)pid);
	return pagemap < 0 ? -pagemap : 0;
}

static void idle_as(void *uid)
{
	if (become(*(uid_t *)uid))
		_exit(1);
}

static void idle_as_user_undumpable(void *unused)
{
	(void)unused;
	if (become(USER) || prctl(PR_SET_DUMPABLE, 0))
		_exit(1);
}

TEST(a_user_can_look_only_into_what_is_the_users)
{
	uid_t user = USER, other = OTHER, root = 0;
	pid_t init = 1;
	pid_t of_user = child_stopped(idle_as, &user);
	pid_t of_other = child_stopped(idle_as, &other);
	pid_t of_root = child_stopped(idle_as, &root);
	pid_t undumpable = child_stopped(idle_as_user_undumpable, NULL);

	EXPECT_EQ(0, child_run(errno_of_pagemap, &of_user));
	EXPECT_EQ(EACCES, child_run(errno_of_pagemap, &of_other));
	EXPECT_EQ(EACCES, child_run(errno_of_pagemap, &of_root));
	EXPECT_EQ(EACCES, child_run(errno_of_pagemap, &init));
	EXPECT_EQ(EACCES, child_run(errno_of_pagemap, &undumpable));
	process_end(of_user);
	process_end(of_other);
	process_end(of_root);
	process_end(undumpable);
}

/* Yama restricts attaching; looking is not that. */
TEST(yama_does_not_keep_a_user_from_looking)
{
	const char *scope = "/proc/sys/kernel/yama/ptrace_scope";
	uid_t user = USER;
	pid_t pid = child_stopped(idle_as, &user);
	char before[16], text[16];
	int i;

	if (read_file(scope, before, sizeof(before)) <= 0)
		SKIP(return, "this kernel has no Yama");
	for (i = 0; i <= 2; i++) {	/* 3 can't be taken back */
		snprintf(text, sizeof(text), "%d", i);
		ASSERT_EQ(0, write_file(scope, text));
		EXPECT_EQ(0, child_run(errno_of_pagemap, &pid));
	}
	ASSERT_EQ(0, write_file(scope, before));
	process_end(pid);
}

/*
 * Who may open the device.
 */
FIXTURE(mode)
{
	long before;
};

FIXTURE_SETUP(mode)
{
	self->before = module_mode();
	ASSERT_GE(self->before, 0);
}

FIXTURE_TEARDOWN(mode)
{
	EXPECT_EQ(0, module_reload_mode(self->before));
}

static long file_mode(const char *path)
{
	struct stat stat;

	return lstat(path, &stat) ? -errno : (long)(stat.st_mode & 07777);
}

static int errno_of_device(void *unused)
{
	int device;

	(void)unused;
	if (become(USER))
		return 255;
	device = device_open();
	return device < 0 ? -device : 0;
}

static int errno_of_device_in_group(void *unused)
{
	gid_t group = 0;

	(void)unused;
	if (setgroups(1, &group) || setresgid(USER, USER, USER) || setresuid(USER, USER, USER))
		return 255;
	return device_open() < 0 ? errno : 0;
}

TEST_F(mode, of_the_device_is_0600)
{
	struct stat stat;
	int device;

	ASSERT_EQ(0, module_reload(NULL));
	ASSERT_EQ(0, lstat("/dev/vminspect", &stat));
	EXPECT_TRUE(S_ISCHR(stat.st_mode));
	EXPECT_EQ(0600, stat.st_mode & 07777);
	EXPECT_EQ(0, stat.st_uid);
	EXPECT_EQ(0, stat.st_gid);
	EXPECT_EQ(EACCES, child_run(errno_of_device, NULL));
	EXPECT_EQ(EACCES, child_run(errno_of_device_in_group, NULL));
	device = device_open();
	EXPECT_GE(device, 0);
	close(device);
}

TEST_F(mode, may_be_one_for_all)
{
	ASSERT_EQ(0, module_reload("mode=0666"));
	EXPECT_EQ(0666, file_mode("/dev/vminspect"));
	EXPECT_EQ(0666, module_mode());
	EXPECT_EQ(0, child_run(errno_of_device, NULL));
}

TEST_F(mode, may_be_one_for_a_group)
{
	ASSERT_EQ(0, module_reload("mode=0660"));
	EXPECT_EQ(0660, file_mode("/dev/vminspect"));
	EXPECT_EQ(EACCES, child_run(errno_of_device, NULL));
	EXPECT_EQ(0, child_run(errno_of_device_in_group, NULL));
}

TEST_F(mode, that_is_none_keeps_the_module_from_loading)
{
	static const char * const bad[] = {
		"mode=01000", "mode=04755", "mode=07777", "mode=1000", "mode=0x80000000",
		"mode=-1", "mode=rw", "mode=0680", "mode=",
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++) {
		EXPECT_NE(0, module_reload(bad[i])) {
			TH_LOG("%s", bad[i]);
		}
		EXPECT_EQ(-ENOENT, device_open());
	}
}

/* The parameter is there to be read: what is loaded can't be changed. */
TEST_F(mode, can_not_be_changed_behind_our_back)
{
	EXPECT_EQ(0444, file_mode("/sys/module/vminspect/parameters/mode"));
}

TEST(text_files_are_for_root)
{
	if (access("/sys/kernel/debug/vminspect", F_OK))
		SKIP(return, "there is no debugfs");
	EXPECT_EQ(0600, file_mode("/sys/kernel/debug/vminspect/maps"));
	EXPECT_EQ(0600, file_mode("/sys/kernel/debug/vminspect/walk"));
	EXPECT_EQ(0444, file_mode("/sys/kernel/debug/vminspect/info"));
	EXPECT_EQ(0, file_mode("/sys/kernel/debug/vminspect") & 0022);
}

/*
 * Lockdown can't be taken back, so this is the last fixture, and only on a machine that is
 * there for it: it has the word below on its kernel's command line.
 */
FIXTURE(lockdown)
{
	char *page;
};

FIXTURE_SETUP(lockdown)
{
	self->page = map_anon(SZ_4K, PROT_READ | PROT_WRITE);
	ASSERT_NE(NULL, self->page);
	*self->page = 1;
}

FIXTURE_TEARDOWN(lockdown)
{
	munmap(self->page, SZ_4K);
}

TEST_F(lockdown, for_confidentiality_hides_frames_from_root)
{
	struct vminspect_entry entry;
	char text[4096];
	struct seen seen;
	int before, bound;

	if (read_file("/proc/cmdline", text, sizeof(text)) <= 0 ||
	    !strstr(text, "vminspect_lockdown=1"))
		SKIP(return, "lasts until the machine is off: needs vminspect_lockdown=1");
	before = device_open();
	ASSERT_EQ(0, write_file("/sys/kernel/security/lockdown", "integrity"));
	look(&seen, device_open(), pagemap_open(getpid()), self->page);
	EXPECT_EQ(0, seen.bind_hidden);
	EXPECT_NE(0, seen.frame);
	bound = device_bound(getpid());
	ASSERT_EQ(0, device_lookup(bound, self->page, &entry));
	EXPECT_NE(0, entry.frame);
	ASSERT_EQ(0, write_file("/sys/kernel/security/lockdown", "confidentiality"));
	/* Also from whoever was there before. */
	ASSERT_EQ(0, device_lookup(bound, self->page, &entry));
	EXPECT_EQ(VMINSPECT_STATE_PRESENT, entry.state);
	EXPECT_EQ(0, entry.frame);
	look(&seen, device_open(), pagemap_open(getpid()), self->page);
	EXPECT_EQ(0, seen.error);
	EXPECT_EQ(VMINSPECT_HIDDEN_LOCKDOWN, seen.info_hidden);
	EXPECT_EQ(VMINSPECT_HIDDEN_LOCKDOWN, seen.bind_hidden);
	EXPECT_EQ(VMINSPECT_STATE_PRESENT, seen.state);
	EXPECT_EQ(0, seen.frame);
	look(&seen, before, pagemap_open(getpid()), self->page);
	EXPECT_EQ(VMINSPECT_HIDDEN_LOCKDOWN, seen.bind_hidden);
	EXPECT_EQ(0, seen.frame);
}

TEST_HARNESS_MAIN
