/* Times LightGBM on a model and rows of TestWriteModels, through its C API and on
   one thread: score row|batch|contributions MODEL.txt ROWS SECONDS
   Prints what a row took, of the clock and of the processor, in nanoseconds, and
   the largest difference of an answer from the one written. score.py compiles it. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int LGBM_BoosterCreateFromModelfile(const char *, int *, void **);
int LGBM_BoosterPredictForMat(void *, const void *, int, int32_t, int32_t, int, int, int, int, const char *, int64_t *, double *);
int LGBM_BoosterPredictForMatSingleRowFastInit(void *, int, int, int, int, int32_t, const char *, void **);
int LGBM_BoosterPredictForMatSingleRowFast(void *, const void *, int64_t *, double *);
const char *LGBM_GetLastError(void);

enum { FLOAT64 = 1, NORMAL = 0, CONTRIB = 3, BY_ROW = 1 };
static const char *one = "num_threads=1";

static void must(int failed) {
	if (failed) {
		fprintf(stderr, "score: LightGBM: %s\n", LGBM_GetLastError());
		exit(1);
	}
}

static double now(clockid_t clock) {
	struct timespec t;
	clock_gettime(clock, &t);
	return 1e9 * t.tv_sec + t.tv_nsec;
}

int main(int argc, char **argv) {
	double head[3], worst = 0;
	FILE *f = argc == 5 ? fopen(argv[3], "rb") : NULL;
	if (!f || fread(head, sizeof *head, 3, f) != 3) {
		fprintf(stderr, "usage: score row|batch|contributions MODEL.txt ROWS SECONDS\n");
		return 2;
	}
	size_t n = head[0], width = head[1], each = head[2];
	double *want = malloc(n * each * sizeof *want), *got = malloc(n * each * sizeof *got), *rows = malloc(n * width * sizeof *rows);
	if (fread(want, sizeof *want, n * each, f) != n * each || fread(rows, sizeof *rows, n * width, f) != n * width)
		return 2;
	int single = !strcmp(argv[1], "row"), type = strcmp(argv[1], "contributions") ? NORMAL : CONTRIB, trees;
	void *model, *fast;
	int64_t len;
	must(LGBM_BoosterCreateFromModelfile(argv[2], &trees, &model));
	must(LGBM_BoosterPredictForMatSingleRowFastInit(model, type, 0, -1, FLOAT64, width, one, &fast));
	double wall = 0, cpu = 0, done = -1; /* the first time warms up */
	do {
		double w = now(CLOCK_MONOTONIC), c = now(CLOCK_PROCESS_CPUTIME_ID);
		if (single)
			for (size_t i = 0; i < n; i++)
				must(LGBM_BoosterPredictForMatSingleRowFast(fast, rows + i * width, &len, got + i));
		else
			must(LGBM_BoosterPredictForMat(model, rows, FLOAT64, n, width, BY_ROW, type, 0, -1, one, &len, got));
		if (++done > 0) {
			wall += now(CLOCK_MONOTONIC) - w;
			cpu += now(CLOCK_PROCESS_CPUTIME_ID) - c;
		}
	} while (wall < 1e9 * atof(argv[4]));
	for (size_t i = 0; i < n * each; i++)
		worst = fmax(worst, fabs(got[i] - want[i]));
	printf("%.1f %.1f %.3g\n", wall / done / n, cpu / done / n, worst);
	return 0;
}
