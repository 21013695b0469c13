/* SQLite's memory from a pool, for a fuzzer: AddressSanitizer's own allocator takes longer than all that SQLite does. What
 * lies between the blocks and what was freed is poisoned, and is used again as late as can be, so that reading past a value
 * that SQLite handed out is found as it is with malloc. */
#ifndef LIKENESS_FUZZ_SQLITE_POOL_H
#define LIKENESS_FUZZ_SQLITE_POOL_H

/* Before SQLite is first used. Values have blocks of their own, too: there is no lookaside memory. */
void sqlite_pool_install(void);

/* Blocks that are in use: what is left behind shows in a comparison. */
long sqlite_pool_blocks(void);

#endif
