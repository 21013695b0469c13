/* Several processes that train one network: averages over all of them, by MPI. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#ifdef LIKENESS_MPI

#include <mpi.h>
#include <pthread.h>

typedef struct job {
    float *values;
    size_t count;
} job;

/* While training, only the thread talks MPI; before and after, only the thread that opened and closes. */
struct lk_nn_peers {
    MPI_Comm comm;
    int rank, count;
    int place, here; /* the same of this machine's */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    job *jobs; /* a ring */
    size_t room, started, finished, waited;
    bool running, leave;
    int status; /* MPI's, of the first average that failed */
};

/* MPI counts in ints. */
#define MOST_AT_ONCE ((size_t)1 << 28)

static int average(const lk_nn_peers *p, job j) {
    float share = 1 / (float)p->count;
    for (size_t at = 0; at < j.count; at += MOST_AT_ONCE) {
        size_t n = j.count - at < MOST_AT_ONCE ? j.count - at : MOST_AT_ONCE;
        int status = MPI_Allreduce(MPI_IN_PLACE, j.values + at, (int)n, MPI_FLOAT, MPI_SUM, p->comm);
        if (status != MPI_SUCCESS) return status;
        for (size_t i = at; i < at + n; i++) j.values[i] *= share;
    }
    return MPI_SUCCESS;
}

static void *work(void *user) {
    lk_nn_peers *p = user;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (p->finished == p->started && !p->leave) pthread_cond_wait(&p->changed, &p->lock);
        if (p->finished == p->started) break;
        job j = p->jobs[p->finished % p->room];
        bool broken = p->status != MPI_SUCCESS;
        pthread_mutex_unlock(&p->lock);
        int status = broken ? MPI_SUCCESS : average(p, j);
        pthread_mutex_lock(&p->lock);
        if (!broken) p->status = status;
        p->finished++;
        pthread_cond_broadcast(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static bool grow(lk_nn_peers *p, lk_error *err) {
    size_t room = p->room ? 2 * p->room : 64;
    job *jobs = lk_alloc(room, sizeof *jobs, err);
    if (!jobs) return false;
    for (size_t i = p->finished; i < p->started; i++) jobs[i % room] = p->jobs[i % p->room];
    free(p->jobs);
    p->jobs = jobs;
    p->room = room;
    return true;
}

bool lk_peers_start(lk_nn_peers *p, float *values, size_t count, lk_error *err) {
    pthread_mutex_lock(&p->lock);
    bool ok = p->started - p->finished < p->room || grow(p, err);
    if (ok) p->jobs[p->started++ % p->room] = (job){values, count};
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    return ok;
}

static bool failed(int status, lk_error *err) {
    if (status == MPI_SUCCESS) return false;
    char text[MPI_MAX_ERROR_STRING];
    int length = 0;
    if (MPI_Error_string(status, text, &length) != MPI_SUCCESS) length = 0;
    lk_fail(err, LK_ERR_IO, "the processes that train together lost each other (%.*s): start them again", length, text);
    return true;
}

bool lk_peers_wait(lk_nn_peers *p, lk_error *err) {
    pthread_mutex_lock(&p->lock);
    p->waited++;
    while (p->finished < p->waited) pthread_cond_wait(&p->changed, &p->lock);
    int status = p->status;
    pthread_mutex_unlock(&p->lock);
    return !failed(status, err);
}

bool lk_peers_agree(lk_nn_peers *p, uint64_t number, lk_error *err) {
    if (!p) return true;
    uint64_t both[2] = {number, ~number}; /* the least of ~x is ~ of the greatest x */
    if (failed(MPI_Allreduce(MPI_IN_PLACE, both, 2, MPI_UINT64_T, MPI_MIN, p->comm), err)) return false;
    if (both[0] == ~both[1]) return true;
    return lk_fail(err, LK_ERR_USAGE,
                   "the processes that train together do not have the same network: they need the same options, the "
                   "same model and processors of the same kind");
}

bool lk_nn_peers_broadcast(lk_nn_peers *p, void *data, size_t size, lk_error *err) {
    for (size_t at = 0; p && at < size; at += MOST_AT_ONCE) {
        size_t n = size - at < MOST_AT_ONCE ? size - at : MOST_AT_ONCE;
        if (failed(MPI_Bcast((char *)data + at, (int)n, MPI_BYTE, 0, p->comm), err)) return false;
    }
    return true;
}

static bool meet(lk_nn_peers *p, lk_error *err) {
    int level = MPI_THREAD_SINGLE;
    if (failed(MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &level), err)) return false;
    if (level < MPI_THREAD_SERIALIZED) return lk_fail(err, LK_ERR_UNSUPPORTED, "this MPI cannot be used with threads");
    if (failed(MPI_Comm_dup(MPI_COMM_WORLD, &p->comm), err)) return false;
    MPI_Comm_set_errhandler(p->comm, MPI_ERRORS_RETURN);
    MPI_Comm_rank(p->comm, &p->rank);
    MPI_Comm_size(p->comm, &p->count);
    MPI_Comm near = MPI_COMM_NULL;
    if (failed(MPI_Comm_split_type(p->comm, MPI_COMM_TYPE_SHARED, p->rank, MPI_INFO_NULL, &near), err)) return false;
    MPI_Comm_rank(near, &p->place);
    MPI_Comm_size(near, &p->here);
    MPI_Comm_free(&near);
    p->running = pthread_create(&p->thread, NULL, work, p) == 0;
    return p->running || lk_fail(err, LK_ERR_MEMORY, "no thread can be started");
}

static bool open_peers(lk_nn_peers **peers, lk_error *err) {
    lk_nn_peers *p = lk_alloc(1, sizeof *p, err);
    if (!p) return false;
    p->comm = MPI_COMM_NULL;
    p->status = MPI_SUCCESS;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    if (meet(p, err)) {
        *peers = p;
        return true;
    }
    lk_nn_peers_close(p);
    return false;
}

void lk_nn_peers_close(lk_nn_peers *p) {
    if (!p) return;
    if (p->running) {
        pthread_mutex_lock(&p->lock);
        p->leave = true;
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->lock);
        pthread_join(p->thread, NULL);
    }
    if (p->comm != MPI_COMM_NULL) MPI_Comm_free(&p->comm);
    int up = 0;
    if (MPI_Initialized(&up) == MPI_SUCCESS && up) MPI_Finalize();
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    free(p->jobs);
    free(p);
}

int lk_nn_peers_rank(const lk_nn_peers *p) { return p ? p->rank : 0; }
int lk_nn_peers_count(const lk_nn_peers *p) { return p ? p->count : 1; }
int lk_peers_place(const lk_nn_peers *p) { return p ? p->place : 0; }
int lk_peers_here(const lk_nn_peers *p) { return p ? p->here : 1; }

#else

static bool open_peers(lk_nn_peers **peers, lk_error *err) {
    (void)peers;
    return lk_fail(err, LK_ERR_UNSUPPORTED,
                   "started as one of several processes, but this program was built without MPI: install "
                   "libopenmpi-dev and build again");
}

/* Nobody can have peers here. */
void lk_nn_peers_close(lk_nn_peers *p) { (void)p; }
int lk_nn_peers_rank(const lk_nn_peers *p) {
    (void)p;
    return 0;
}
int lk_nn_peers_count(const lk_nn_peers *p) {
    (void)p;
    return 1;
}
int lk_peers_place(const lk_nn_peers *p) {
    (void)p;
    return 0;
}
int lk_peers_here(const lk_nn_peers *p) {
    (void)p;
    return 1;
}
bool lk_nn_peers_broadcast(lk_nn_peers *p, void *data, size_t size, lk_error *err) {
    (void)data, (void)size, (void)err;
    return !p;
}
bool lk_peers_start(lk_nn_peers *p, float *values, size_t count, lk_error *err) {
    (void)values, (void)count, (void)err;
    return !p;
}
bool lk_peers_wait(lk_nn_peers *p, lk_error *err) {
    (void)err;
    return !p;
}
bool lk_peers_agree(lk_nn_peers *p, uint64_t number, lk_error *err) {
    (void)number, (void)err;
    return !p;
}

#endif

/* mpirun's and Slurm's ways to tell a process that it has company. */
bool lk_nn_peers_open(lk_nn_peers **peers, lk_error *err) {
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_NUM_TASKS"};
    *peers = NULL;
    for (size_t i = 0; i < LK_COUNT(names); i++) {
        const char *value = getenv(names[i]);
        if (value && atoi(value) > 1) return open_peers(peers, err);
    }
    return true;
}
