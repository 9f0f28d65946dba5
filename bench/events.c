// SPDX-License-Identifier: GPL-2.0
/*
 * events rate|storm: what a machine gets done while events are read.
 *
 *   rate    pages go to swap and come back on one, two and four processors, with nobody reading
 *           and with one, two and four readers of all events: lines for ./report of what a page
 *           takes on its way out or in, and of the processor time that a reader takes for a
 *           record; and, for ./plot, of pages a second
 *   storm   a million pages come back, with one reader, whose rings are of the usual size
 *
 * Pages are counted by the kernel (/proc/vmstat), records by who reads them.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"

#define MAX_PROCESSORS	4
#define MAX_READERS	4
#define PAGES		2048UL		/* of each process, out and in at once */
#define STORM		1000000UL

/* What a reader has read so far. */
struct progress {
	uint64_t records;
	uint64_t swap_ins;
	uint64_t lost;
	uint64_t cpu_ns;
};

struct reader {
	int events;
	pid_t pid;
	struct progress *progress;	/* shared with it */
};

struct swapper {
	pid_t pid;
	int go, done;
};

static void step(int go, int done)
{
	char byte = 0;

	if (write(done, &byte, 1) != 1 || read(go, &byte, 1) != 1)
		_exit(0);
}

static void swapper_run(int processor, int go, int done)
{
	char *map = map_small(PAGES * SZ_4K);
	size_t i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	stay_on(processor, 1);
	check(map, "no memory");
	for (;;) {
		for (i = 0; i < PAGES; i++)
			map[i * SZ_4K]++;
		step(go, done);
		madvise(map, PAGES * SZ_4K, MADV_PAGEOUT);
		for (i = 0; i < PAGES; i++)
			READ_ONCE(map[i * SZ_4K]);
	}
}

static void swapper_start(struct swapper *swapper, int processor)
{
	int go[2], done[2];
	char byte;

	check(!pipe(go) && !pipe(done), "no pipes");
	swapper->pid = fork();
	if (!swapper->pid) {
		swapper_run(processor, go[0], done[1]);
		_exit(1);
	}
	close(go[0]);
	close(done[1]);
	swapper->go = go[1];
	swapper->done = done[0];
	check(read(swapper->done, &byte, 1) == 1, "a process that swaps has ended");
}

static void swapper_end(struct swapper *swapper)
{
	process_end(swapper->pid);
	close(swapper->go);
	close(swapper->done);
}

/* All of them push their pages out and take them back, at the same time. */
static void swappers_step(struct swapper *swappers, int nr)
{
	char byte = 0;
	int i;

	for (i = 0; i < nr; i++)
		check(write(swappers[i].go, &byte, 1) == 1, "a process that swaps has ended");
	for (i = 0; i < nr; i++)
		check(read(swappers[i].done, &byte, 1) == 1, "a process that swaps has ended");
}

/* Pages that went out or came in since the machine was started. */
static uint64_t swapped_pages(void)
{
	return vmstat("pswpin") + vmstat("pswpout");
}

static uint64_t own_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void reader_run(struct reader *reader)
{
	static struct vminspect_event records[1024];
	struct progress *progress = reader->progress;
	ssize_t got;
	size_t i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while ((got = read(reader->events, records, sizeof(records))) > 0) {
		for (i = 0; i < got / sizeof(records[0]); i++) {
			if (records[i].kind == VMINSPECT_EVENT_LOST)
				progress->lost += records[i].pages;
			else
				progress->records++;
			if (records[i].kind == VMINSPECT_EVENT_SWAP_IN)
				progress->swap_ins += records[i].pages;
		}
		progress->cpu_ns = own_cpu_ns();
	}
}

/* Rings are of the size that they have if nobody asks for another. */
static void reader_start(struct reader *reader, int processors)
{
	struct vminspect_events request = {
		.size = sizeof(request),
		.scope = VMINSPECT_SCOPE_ALL,
		.kinds = VMINSPECT_EVENT_KINDS,
		.record_size = sizeof(struct vminspect_event),
	};

	reader->events = ioctl(device_open(), VMINSPECT_IOC_EVENTS, &request);
	check(reader->events >= 0, "no events");
	reader->progress = mmap(NULL, SZ_4K, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
				-1, 0);
	check(reader->progress != MAP_FAILED, "no memory");
	reader->pid = fork();
	if (!reader->pid) {
		stay_on(0, processors);
		reader_run(reader);
		_exit(1);
	}
}

static void reader_check(const struct reader *reader)
{
	check(!waitpid(reader->pid, NULL, WNOHANG), "the reader has ended");
}

/* Until it has read all that it was meant to get. */
static void reader_wait(const struct reader *reader)
{
	struct vminspect_events_state state = { .size = sizeof(state) };
	const struct progress *progress = reader->progress;

	for (;;) {
		check(!ioctl(reader->events, VMINSPECT_IOC_EVENTS_STATE, &state), "no state");
		if (READ_ONCE(progress->records) + READ_ONCE(progress->lost) == state.records)
			return;
		reader_check(reader);
		usleep(1000);
	}
}

static void reader_end(struct reader *reader)
{
	process_end(reader->pid);
	close(reader->events);
	munmap(reader->progress, SZ_4K);
}

/*
 * How much faster or slower it gets.
 */
struct setting {
	int processors;
	int readers;
	uint64_t page_ns[ROUNDS];	/* what a page took */
	uint64_t record_ns[ROUNDS];	/* what a reader took for a record, on average */
	uint64_t lost;			/* records, in all rounds */
};

static void measure(struct setting *setting, int round)
{
	struct swapper swappers[MAX_PROCESSORS];
	struct reader readers[MAX_READERS];
	uint64_t before, pages, records = 0, cpu_ns = 0;
	int i;

	for (i = 0; i < setting->readers; i++)
		reader_start(&readers[i], setting->processors);
	for (i = 0; i < setting->processors; i++)
		swapper_start(&swappers[i], i);
	swappers_step(swappers, setting->processors);	/* until all is as it will be */
	pages = swapped_pages();
	before = now_ns();
	for (i = 0; i < 4; i++)
		swappers_step(swappers, setting->processors);
	before = now_ns() - before;
	pages = swapped_pages() - pages;
	check(pages >= 4 * PAGES * setting->processors, "pages do not go out");
	setting->page_ns[round] = before / pages;
	for (i = 0; i < setting->readers; i++) {
		reader_wait(&readers[i]);
		records += readers[i].progress->records;
		cpu_ns += readers[i].progress->cpu_ns;
		setting->lost += readers[i].progress->lost;
	}
	setting->record_ns[round] = records ? cpu_ns / records : 0;
	for (i = 0; i < setting->processors; i++)
		swapper_end(&swappers[i]);
	for (i = 0; i < setting->readers; i++)
		reader_end(&readers[i]);
}

static const char *readers_text(int readers)
{
	static char text[32];

	snprintf(text, sizeof(text), readers == 1 ? "one reader" : "%d readers", readers);
	return readers ? text : "nobody reads";
}

static void print_setting(struct setting *setting)
{
	const char *readers = readers_text(setting->readers);
	char work[64];

	snprintf(work, sizeof(work), "a page out or in, %d processors", setting->processors);
	print_figure(work, readers, setting->page_ns, 1);
	printf("%s\t%d\t%.0f\t%.0f\t%.0f\n", readers, setting->processors,
	       1e9 / setting->page_ns[ROUNDS / 2], 1e9 / setting->page_ns[ROUNDS - 1],
	       1e9 / setting->page_ns[0]);
}

static void print_reading(struct setting *setting)
{
	char work[64];

	if (!setting->readers)
		return;
	printf("# lost_on_%d_processors_by_%d_readers=%" PRIu64 "\n", setting->processors,
	       setting->readers, setting->lost);
	snprintf(work, sizeof(work), "reading a record, %d processors", setting->processors);
	print_figure(work, readers_text(setting->readers), setting->record_ns, 1);
}

static void measure_rate(void)
{
	static const int readers[] = { 0, 1, 2, 4 };
	static struct setting settings[ARRAY_LEN(readers)];
	int processors, round;
	size_t i;

	for (processors = 1; processors <= MAX_PROCESSORS; processors *= 2) {
		for (round = 0; round < ROUNDS; round++)
			for (i = 0; i < ARRAY_LEN(readers); i++) {
				if (!round)
					settings[i].lost = 0;
				settings[i].processors = processors;
				settings[i].readers = readers[i];
				measure(&settings[i], round);
			}
		for (i = 0; i < ARRAY_LEN(readers); i++)
			print_setting(&settings[i]);
		for (i = 0; i < ARRAY_LEN(readers); i++)
			print_reading(&settings[i]);
	}
}

/* Its share of a storm: until that many more pages have come back. */
static void storm_round(const struct reader *reader, struct swapper *swappers, int nr, int round,
			uint64_t *record_ns, uint64_t *cpu_ns)
{
	const struct progress *now = reader->progress, before = *now;
	uint64_t start = now_ns(), records;

	while (READ_ONCE(now->swap_ins) < STORM * (round + 1) / ROUNDS) {
		swappers_step(swappers, nr);
		reader_check(reader);
	}
	records = READ_ONCE(now->records) - before.records;
	record_ns[round] = (now_ns() - start) / records;
	cpu_ns[round] = (READ_ONCE(now->cpu_ns) - before.cpu_ns) / records;
}

static void measure_storm(void)
{
	const int processors = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t record_ns[ROUNDS], cpu_ns[ROUNDS];
	struct swapper swappers[MAX_PROCESSORS];
	struct reader reader;
	int i, nr = processors < MAX_PROCESSORS ? processors : MAX_PROCESSORS;

	reader_start(&reader, nr);
	for (i = 0; i < nr; i++)
		swapper_start(&swappers[i], i);
	for (i = 0; i < ROUNDS; i++)
		storm_round(&reader, swappers, nr, i, record_ns, cpu_ns);
	for (i = 0; i < nr; i++)
		swapper_end(&swappers[i]);
	reader_wait(&reader);
	printf("# pages_of_storm=%" PRIu64 "\n# records_of_storm=%" PRIu64 "\n"
	       "# lost_of_storm=%" PRIu64 "\n", reader.progress->swap_ins,
	       reader.progress->records, reader.progress->lost);
	print_figure("from one record to the next", "one reader", record_ns, 1);
	print_figure("the reader's processor time for one", "one reader", cpu_ns, 1);
	reader_end(&reader);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "rate"))
		measure_rate();
	else if (argc == 2 && !strcmp(argv[1], "storm"))
		measure_storm();
	else
		check(false, "usage: events rate|storm");
	return 0;
}
