/* SPDX-License-Identifier: Apache-2.0
 * Worker threads beside the event loop. fsync(2) and similar calls have no non-blocking form, and
 * in the loop they would delay all other requests. The threads share two lists with the loop, under
 * one lock, and nothing else. */
#include "fsd/vhost/worker.h"

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fd.h"

static void *worker_main(void *data)
{
	struct worker *w = data;
	pthread_mutex_lock(&w->lock);
	for (;;) {
		while (!w->first && !w->stopping)
			pthread_cond_wait(&w->wanted, &w->lock);
		struct work *item = w->first;
		if (!item)
			break;
		w->first = item->next;
		if (!w->first)
			w->last = &w->first;
		pthread_mutex_unlock(&w->lock);
		item->run(item);
		pthread_mutex_lock(&w->lock);
		item->next = w->done;
		w->done = item;
		uint64_t one = 1;
		(void)!write(w->event, &one, sizeof one);
		pthread_cond_signal(&w->finished);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

int worker_init(struct worker *w, struct error **err)
{
	*w = (struct worker){
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.wanted = PTHREAD_COND_INITIALIZER,
		.finished = PTHREAD_COND_INITIALIZER,
	};
	w->last = &w->first;
	w->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->event < 0)
		return error_set_errno(err, errno, "cannot make an event descriptor");
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int r = 0;
	for (unsigned n = 0; n < WORKER_THREADS && r == 0; n++)
		if ((r = pthread_create(&w->threads[n], NULL, worker_main, w)) == 0)
			w->thread_count++;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r != 0)
		worker_done(w);
	return r ? error_set_errno(err, r, "cannot start a thread") : 0;
}

void worker_done(struct worker *w)
{
	pthread_mutex_lock(&w->lock);
	w->stopping = 1;
	pthread_cond_broadcast(&w->wanted);
	pthread_mutex_unlock(&w->lock);
	for (unsigned n = 0; n < w->thread_count; n++)
		pthread_join(w->threads[n], NULL);
	w->thread_count = 0;
	fd_close(w->event);
	w->event = -1;
}

void worker_submit(struct worker *w, struct work *item)
{
	item->next = NULL;
	pthread_mutex_lock(&w->lock);
	*w->last = item;
	w->last = &item->next;
	w->pending++;
	pthread_cond_signal(&w->wanted);
	pthread_mutex_unlock(&w->lock);
}

static struct work *take(struct worker *w, int wait)
{
	pthread_mutex_lock(&w->lock);
	while (wait && !w->done && w->pending > 0)
		pthread_cond_wait(&w->finished, &w->lock);
	struct work *item = w->done;
	if (item) {
		w->done = item->next;
		w->pending--;
	}
	pthread_mutex_unlock(&w->lock);
	return item;
}

struct work *worker_take(struct worker *w)
{
	return take(w, 0);
}

struct work *worker_wait(struct worker *w)
{
	return take(w, 1);
}
