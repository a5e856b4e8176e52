/* Replays the files of a folder through a fuzz target: the corpus is part of the ordinary tests. */
#include <dirent.h>
#include <stdint.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    if (!f || fstat(fileno(f), &st))
        return 0;
    uint8_t *data = malloc((size_t)st.st_size + 1);
    const size_t n = data ? fread(data, 1, (size_t)st.st_size, f) : 0;
    fclose(f);
    LLVMFuzzerTestOneInput(data, n);
    free(data);
    return 1;
}

int main(int argc, char **argv)
{
    int done = LLVMFuzzerTestOneInput((const uint8_t *)"", 0) == 0;
    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        if (!dir) {
            printf("%s: no corpus\n", argv[i]);
            return 1;
        }
        for (const struct dirent *e; (e = readdir(dir));) {
            char path[4096];
            if (e->d_name[0] != '.' && snprintf(path, sizeof path, "%s/%s", argv[i], e->d_name) < (int)sizeof path)
                done += replay(path);
        }
        closedir(dir);
    }
    printf("%d inputs\n", done);
    return done ? 0 : 1;
}
