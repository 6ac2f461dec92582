/* A sound card for machines without one: an ALSA PCM that takes samples at the pace of a card, keeps what was heard, writes down
 * what happened when, and fails on request. README.md beside this file tells its parameters. */
#define _GNU_SOURCE
/* libasound's headers make a plugin that can be loaded of it only then. */
#ifndef PIC
#define PIC
#endif
#include <alsa/asoundlib.h>
#include <alsa/pcm_external.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define FAULTS_MAX 16
#define LIST_MAX 16
/* A card that takes few frames at a time takes the next ones after this long. */
#define SHORT_PAUSE_NS 1000000ull

enum kind { XRUN, SUSPEND, GONE };
struct fault {
	enum kind kind;
	uint64_t at; /* frames heard since the first opening */
	uint64_t ms; /* GONE: how long it stays away */
};

struct sink {
	snd_pcm_ioplug_t io;
	int timer, raw, log, state_file;
	double speed;
	unsigned frame_bytes;
	uint8_t *ring; /* what was taken and is not heard */
	uint64_t written, played; /* frames since prepare */
	uint64_t started; /* ns; 0: stopped */
	int is_dry;
	uint64_t short_frames, short_since;
	snd_pcm_uframes_t avail_min;
	struct fault faults[FAULTS_MAX];
	unsigned faults_count;
	/* Kept over openings, and over processes. */
	struct memory {
		uint64_t heard; /* frames */
		uint64_t away_until; /* ns */
		uint32_t fired; /* faults that have struck */
		uint32_t refused; /* openings refused */
	} memory;
};

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static void note(struct sink *s, const char *format, ...)
{
	char line[256];
	int length = snprintf(line, sizeof line, "%llu ", (unsigned long long)now_ns());
	va_list args;
	va_start(args, format);
	length += vsnprintf(line + length, sizeof line - (size_t)length - 1, format, args);
	va_end(args);
	line[length++] = '\n';
	(void)!write(s->log, line, (size_t)length);
}

static void remember(struct sink *s)
{
	(void)!pwrite(s->state_file, &s->memory, sizeof s->memory, 0);
}

static uint64_t frames_since(struct sink *s, uint64_t since)
{
	return (uint64_t)((double)(now_ns() - since) * s->speed * (double)s->io.rate / 1e9);
}

/* The next period's end, or at once where the program need not wait. */
static void arm(struct sink *s, int at_once)
{
	struct itimerspec when = { { 0, 0 }, { 0, 1 } };
	int flags = 0;
	if (s->started && !at_once) {
		uint64_t next = (s->played / s->io.period_size + 1) * s->io.period_size;
		uint64_t at = s->started + (uint64_t)((double)next * 1e9 / (s->speed * (double)s->io.rate)) + 1;
		when.it_value.tv_sec = (time_t)(at / 1000000000ull);
		when.it_value.tv_nsec = (long)(at % 1000000000ull);
		flags = TFD_TIMER_ABSTIME;
	}
	timerfd_settime(s->timer, flags, &when, NULL);
}

static void stop(struct sink *s)
{
	s->started = 0;
	remember(s);
	arm(s, 1);
}

/* Sounds frames up to `until`. */
static void sound(struct sink *s, uint64_t until)
{
	while (s->played < until) {
		uint64_t at = s->played % s->io.buffer_size;
		uint64_t count = until - s->played;
		if (count > s->io.buffer_size - at)
			count = s->io.buffer_size - at;
		(void)!write(s->raw, s->ring + at * s->frame_bytes, (size_t)count * s->frame_bytes);
		s->played += count;
		s->memory.heard += count;
	}
}

static void strike(struct sink *s, const struct fault *fault)
{
	s->memory.fired++;
	switch (fault->kind) {
	case XRUN: /* the machine was held up until all was played */
		sound(s, s->written);
		s->is_dry = 1;
		note(s, "XRUN at=%llu injected", (unsigned long long)s->memory.heard);
		break;
	case SUSPEND:
		note(s, "SUSPEND at=%llu lost=%llu", (unsigned long long)s->memory.heard,
		     (unsigned long long)(s->written - s->played));
		snd_pcm_ioplug_set_state(&s->io, SND_PCM_STATE_SUSPENDED);
		break;
	case GONE:
		s->memory.away_until = now_ns() + fault->ms * 1000000ull;
		note(s, "GONE at=%llu lost=%llu until=%llu", (unsigned long long)s->memory.heard,
		     (unsigned long long)(s->written - s->played), (unsigned long long)s->memory.away_until);
		snd_pcm_ioplug_set_state(&s->io, SND_PCM_STATE_DISCONNECTED);
		break;
	}
	stop(s);
}

/* Sounds what is due. */
static void play(struct sink *s)
{
	if (!s->started)
		return;
	uint64_t due = frames_since(s, s->started);
	uint64_t until = due < s->written ? due : s->written;
	if (s->memory.fired < s->faults_count) {
		const struct fault *fault = &s->faults[s->memory.fired];
		uint64_t left = fault->at > s->memory.heard ? fault->at - s->memory.heard : 0;
		if (s->played + left <= until) {
			sound(s, s->played + left);
			strike(s, fault);
			return;
		}
	}
	sound(s, until);
	if (due > s->written && s->io.state != SND_PCM_STATE_DRAINING) {
		s->is_dry = 1;
		note(s, "XRUN at=%llu", (unsigned long long)s->memory.heard);
		stop(s);
	}
}

/* There is room for as much as the program waits for. */
static int is_ready(struct sink *s)
{
	return s->written - s->played + s->avail_min <= s->io.buffer_size;
}

static int sink_start(snd_pcm_ioplug_t *io)
{
	struct sink *s = io->private_data;
	s->started = now_ns();
	note(s, "START at=%llu queued=%llu", (unsigned long long)s->memory.heard, (unsigned long long)s->written);
	/* There may be room from the first frame on. */
	arm(s, is_ready(s));
	return 0;
}

static int sink_stop(snd_pcm_ioplug_t *io)
{
	struct sink *s = io->private_data;
	play(s);
	if (s->started)
		note(s, "STOP at=%llu lost=%llu", (unsigned long long)s->memory.heard,
		     (unsigned long long)(s->written - s->played));
	stop(s);
	return 0;
}

static snd_pcm_sframes_t sink_pointer(snd_pcm_ioplug_t *io)
{
	struct sink *s = io->private_data;
	play(s);
	if (s->is_dry)
		return -EPIPE;
	return (snd_pcm_sframes_t)s->played;
}

static snd_pcm_sframes_t sink_transfer(snd_pcm_ioplug_t *io, const snd_pcm_channel_area_t *areas,
				       snd_pcm_uframes_t offset, snd_pcm_uframes_t size)
{
	struct sink *s = io->private_data;
	if (s->short_frames) {
		if (now_ns() - s->short_since < SHORT_PAUSE_NS)
			return -EAGAIN;
		s->short_since = now_ns();
		if (size > s->short_frames)
			size = s->short_frames;
	}
	const uint8_t *from = (const uint8_t *)areas->addr + (areas->first + areas->step * offset) / 8;
	note(s, "WRITE frames=%lu queued=%llu", size, (unsigned long long)(s->written - s->played));
	for (snd_pcm_uframes_t done = 0; done < size;) {
		uint64_t at = s->written % io->buffer_size;
		snd_pcm_uframes_t count = size - done;
		if (count > io->buffer_size - at)
			count = io->buffer_size - at;
		memcpy(s->ring + at * s->frame_bytes, from + done * s->frame_bytes, count * s->frame_bytes);
		s->written += count;
		done += count;
	}
	if (s->started)
		arm(s, is_ready(s));
	return (snd_pcm_sframes_t)size;
}

static int sink_prepare(snd_pcm_ioplug_t *io)
{
	struct sink *s = io->private_data;
	s->written = s->played = 0;
	s->is_dry = 0;
	s->short_since = 0;
	stop(s);
	return 0;
}

static int sink_hw_params(snd_pcm_ioplug_t *io, snd_pcm_hw_params_t *params)
{
	struct sink *s = io->private_data;
	(void)params;
	s->frame_bytes = (unsigned)snd_pcm_format_physical_width(io->format) * io->channels / 8;
	free(s->ring);
	s->ring = calloc(io->buffer_size, s->frame_bytes);
	if (!s->ring)
		return -ENOMEM;
	s->avail_min = io->period_size;
	note(s, "HW at=%llu rate=%u format=%s channels=%u period=%lu buffer=%lu access=%s",
	     (unsigned long long)s->memory.heard, io->rate, snd_pcm_format_name(io->format), io->channels, io->period_size,
	     io->buffer_size, snd_pcm_access_name(io->access));
	return 0;
}

static int sink_sw_params(snd_pcm_ioplug_t *io, snd_pcm_sw_params_t *params)
{
	struct sink *s = io->private_data;
	return snd_pcm_sw_params_get_avail_min(params, &s->avail_min);
}

static int sink_revents(snd_pcm_ioplug_t *io, struct pollfd *polled, unsigned count, unsigned short *events)
{
	struct sink *s = io->private_data;
	uint64_t ticks;
	(void)count;
	*events = 0;
	if (!(polled[0].revents & POLLIN))
		return 0;
	play(s);
	switch (io->state) {
	case SND_PCM_STATE_PREPARED:
	case SND_PCM_STATE_RUNNING:
	case SND_PCM_STATE_DRAINING:
		if (s->is_dry) {
			*events = POLLOUT | POLLERR;
			return 0;
		}
		break;
	default:
		*events = POLLOUT | POLLERR;
		return 0;
	}
	if (is_ready(s)) {
		*events = POLLOUT;
	} else if (s->started) {
		(void)!read(s->timer, &ticks, sizeof ticks);
		arm(s, 0);
	}
	return 0;
}

static int sink_delay(snd_pcm_ioplug_t *io, snd_pcm_sframes_t *delay)
{
	struct sink *s = io->private_data;
	play(s);
	*delay = (snd_pcm_sframes_t)(s->written - s->played);
	return 0;
}

static int sink_close(snd_pcm_ioplug_t *io)
{
	struct sink *s = io->private_data;
	note(s, "CLOSE at=%llu", (unsigned long long)s->memory.heard);
	remember(s);
	close(s->timer);
	close(s->raw);
	close(s->log);
	close(s->state_file);
	free(s->ring);
	free(s);
	return 0;
}

static const snd_pcm_ioplug_callback_t callbacks = {
	.start = sink_start,
	.stop = sink_stop,
	.pointer = sink_pointer,
	.transfer = sink_transfer,
	.prepare = sink_prepare,
	.hw_params = sink_hw_params,
	.sw_params = sink_sw_params,
	.poll_revents = sink_revents,
	.delay = sink_delay,
	.close = sink_close,
};

static int open_beside(const char *out, const char *extension, int flags)
{
	char path[512];
	snprintf(path, sizeof path, "%s.%s", out, extension);
	return open(path, flags | O_CREAT | O_CLOEXEC, 0644);
}

/* `faults "xrun@20000 suspend@30000 gone@40000+600 busy+2 short@137"`; those with a frame in their order. */
static int read_faults(struct sink *s, const char *text, uint32_t *busy)
{
	char *copy = strdup(text), *rest = NULL;
	int error = copy ? 0 : -ENOMEM;
	for (char *word = copy ? strtok_r(copy, " ", &rest) : NULL; word && !error; word = strtok_r(NULL, " ", &rest)) {
		unsigned long long at = 0, ms = 0;
		struct fault *fault = &s->faults[s->faults_count];
		if (s->faults_count == FAULTS_MAX)
			error = -EINVAL;
		else if (sscanf(word, "busy+%llu", &ms) == 1)
			*busy = (uint32_t)ms;
		else if (sscanf(word, "short@%llu", &at) == 1)
			s->short_frames = at;
		else if (sscanf(word, "xrun@%llu", &at) == 1)
			*fault = (struct fault){ XRUN, at, 0 }, s->faults_count++;
		else if (sscanf(word, "suspend@%llu", &at) == 1)
			*fault = (struct fault){ SUSPEND, at, 0 }, s->faults_count++;
		else if (sscanf(word, "gone@%llu+%llu", &at, &ms) == 2)
			*fault = (struct fault){ GONE, at, ms }, s->faults_count++;
		else {
			SNDERR("fault %s is not known", word);
			error = -EINVAL;
		}
	}
	free(copy);
	return error;
}

/* Numbers or formats of a text, separated by blanks. */
static unsigned read_list(const char *text, int are_formats, unsigned *list)
{
	char copy[256], *rest = NULL;
	unsigned count = 0;
	snprintf(copy, sizeof copy, "%s", text);
	for (char *word = strtok_r(copy, " ", &rest); word && count < LIST_MAX; word = strtok_r(NULL, " ", &rest))
		list[count++] = are_formats ? (unsigned)snd_pcm_format_value(word) : (unsigned)strtoul(word, NULL, 10);
	return count;
}

SND_PCM_PLUGIN_DEFINE_FUNC(tonearm_sink)
{
	const char *out = NULL, *formats = "S16_LE S24_3LE S24_LE S32_LE", *rates = NULL, *faults = "";
	long drift_ppm = 0, speed = 1;
	uint32_t busy = 0;
	int error;
	snd_config_iterator_t at, next;
	(void)root;
	snd_config_for_each(at, next, conf) {
		snd_config_t *entry = snd_config_iterator_entry(at);
		const char *id;
		if (snd_config_get_id(entry, &id) < 0 || !strcmp(id, "type") || !strcmp(id, "comment") || !strcmp(id, "hint"))
			continue;
		if (!strcmp(id, "out"))
			error = snd_config_get_string(entry, &out);
		else if (!strcmp(id, "formats"))
			error = snd_config_get_string(entry, &formats);
		else if (!strcmp(id, "rates"))
			error = snd_config_get_string(entry, &rates);
		else if (!strcmp(id, "faults"))
			error = snd_config_get_string(entry, &faults);
		else if (!strcmp(id, "drift_ppm"))
			error = snd_config_get_integer(entry, &drift_ppm);
		else if (!strcmp(id, "speed"))
			error = snd_config_get_integer(entry, &speed);
		else
			error = -EINVAL;
		if (error < 0) {
			SNDERR("parameter %s is not known or wrong", id);
			return error;
		}
	}
	if (!out) {
		SNDERR("parameter out is missing");
		return -EINVAL;
	}
	struct sink *s = calloc(1, sizeof *s);
	if (!s)
		return -ENOMEM;
	s->speed = (double)speed * (1.0 + (double)drift_ppm / 1e6);
	s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	s->raw = open_beside(out, "raw", O_WRONLY | O_APPEND);
	s->log = open_beside(out, "log", O_WRONLY | O_APPEND);
	s->state_file = open_beside(out, "state", O_RDWR);
	error = s->timer < 0 || s->raw < 0 || s->log < 0 || s->state_file < 0 ? -errno : read_faults(s, faults, &busy);
	if (error < 0)
		goto failed;
	(void)!pread(s->state_file, &s->memory, sizeof s->memory, 0);
	if (now_ns() < s->memory.away_until)
		error = -ENODEV;
	else if (s->memory.refused < busy) {
		s->memory.refused++;
		remember(s);
		error = -EBUSY;
	}
	if (error < 0) {
		note(s, "REFUSED %s", error == -EBUSY ? "busy" : "gone");
		goto failed;
	}
	s->io.version = SND_PCM_IOPLUG_VERSION;
	s->io.name = "a sound card that keeps what was heard";
	s->io.callback = &callbacks;
	s->io.private_data = s;
	s->io.poll_fd = s->timer;
	s->io.poll_events = POLLIN;
	s->io.mmap_rw = 0;
	s->io.flags = SND_PCM_IOPLUG_FLAG_MONOTONIC | SND_PCM_IOPLUG_FLAG_BOUNDARY_WA;
	error = snd_pcm_ioplug_create(&s->io, name, stream, mode);
	if (error < 0)
		goto failed;
	unsigned list[LIST_MAX];
	const unsigned access[] = { SND_PCM_ACCESS_RW_INTERLEAVED, SND_PCM_ACCESS_MMAP_INTERLEAVED };
	snd_pcm_ioplug_set_param_list(&s->io, SND_PCM_IOPLUG_HW_ACCESS, 2, access);
	snd_pcm_ioplug_set_param_list(&s->io, SND_PCM_IOPLUG_HW_FORMAT, read_list(formats, 1, list), list);
	snd_pcm_ioplug_set_param_minmax(&s->io, SND_PCM_IOPLUG_HW_CHANNELS, 2, 2);
	if (rates)
		snd_pcm_ioplug_set_param_list(&s->io, SND_PCM_IOPLUG_HW_RATE, read_list(rates, 0, list), list);
	else
		snd_pcm_ioplug_set_param_minmax(&s->io, SND_PCM_IOPLUG_HW_RATE, 8000, 192000);
	snd_pcm_ioplug_set_param_minmax(&s->io, SND_PCM_IOPLUG_HW_PERIOD_BYTES, 128, 1 << 20);
	snd_pcm_ioplug_set_param_minmax(&s->io, SND_PCM_IOPLUG_HW_BUFFER_BYTES, 256, 4 << 20);
	snd_pcm_ioplug_set_param_minmax(&s->io, SND_PCM_IOPLUG_HW_PERIODS, 2, 64);
	note(s, "OPEN at=%llu", (unsigned long long)s->memory.heard);
	*pcmp = s->io.pcm;
	return 0;
failed:
	close(s->timer);
	close(s->raw);
	close(s->log);
	close(s->state_file);
	free(s);
	return error;
}
SND_PCM_PLUGIN_SYMBOL(tonearm_sink);
