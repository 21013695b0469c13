/* Adam's second moments of a block of 32×32 weights in 64 numbers, as in Adafactor (Shazeer and Stern 2018, section 3): not
 * squared gradients are averaged over the steps, but their means R of each row and C of each column; then the second moment
 * of a weight is v_ij = R_i·C_j / mean(R).
 *
 * What is kept are the row and the column of v that meet in its largest number: R and C, scaled. Then
 * v_ij = row_i·column_j / largest, and from v, rounded to float32 and saved, the same 64 numbers are read again. */
#ifndef LIKENESS_NN_FACTORED_H
#define LIKENESS_NN_FACTORED_H

#define LK_FACTORS 64 /* of a block: 32 rows (outputs), 32 columns (inputs) */

/* R and C take a step towards the squares of `gradient`, [32 rows][32 columns]. */
void lk_factored_update(float *factors, const float *gradient, float beta2);

/* Second moments in the order of lk_tile_float_at. Factors of any moments keep the means of their rows and columns; those of
 * decoded moments are what was decoded. */
void lk_factored_decode(const float *factors, float *v);
void lk_factored_encode(const float *v, float *factors);

#endif
