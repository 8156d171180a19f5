"""What makes a training step by hand fast: each optimization as the lines that do without it, to measure what it gains.

The lines are those of the LSTM. `byhand bench --tricks` times a step without each of them.
"""

from compare.mistakes.catalogue import Mistake, entries


class Ablation(Mistake):
    """One optimization, and the lines of scratch/ that do without it, in the format of the catalogue of mistakes."""

    @property
    def inputs(self) -> str:
        """What it is measured with, "ids" or "numbers": ids do not use the product for all input projections."""
        return "numbers" if self.name == "one product for all input projections" else "ids"


# For each file: the optimization's name, why it is faster, and the change as a diff.
CHANGES = {
    "model": """
ids looked up in the projected table
W_ih is multiplied with the V rows of the embedding once, not with every step's own row.
- len(self.embedding.params["weight"]) < np.size(inputs)
+ False
""",
    "inputs": """
one product for all input projections
W_ih x_t does not depend on a state.
- u = x.reshape(T * B, I) @ W_ih.T
+ u = np.concatenate([x_t @ W_ih.T for x_t in x])

dtable as a product with one-hot rows
For a small alphabet the product is faster than sorting the rows by id.
- ONE_HOT = 128
+ ONE_HOT = 0
""",
    "lstm": """
one product for dW_hh after the loop
Every step uses the same weights, so the products of all steps are one long product.
- dW_hh = da_rows.T @ h_before.reshape(T * B, H)
+ dW_hh = sum(da[t].T @ h_before[t] for t in range(T))

local derivatives before the loop
They do not depend on other steps, and a NumPy call costs the same for one step as for sixty.
-     # (L4)  h_t = o_t * tanh(c_t)
-     dh_dc = o * (1 - tanh_c**2)  # (T, B, H)  not 1 - c**2: the slope of tanh is read off its output
-     dh_da_o[...] = tanh_c * o * (1 - o)
-     # (L3) and (L2)  c_t = f_t * c_{t-1} + i_t * g_t
-     dc_da_g[...] = i * (1 - g**2)
-     dc_da_f[...] = c_before * f * (1 - f)  # the forget gate met c_{t-1}, not c_t
-     dc_da_i[...] = g * i * (1 - i)
+     dh_dc = np.empty_like(c)
+     for t in range(T):
+         dh_dc[t] = o[t] * (1 - tanh_c[t] ** 2)
+         dh_da_o[t] = tanh_c[t] * o[t] * (1 - o[t])
+         dc_da_g[t] = i[t] * (1 - g[t] ** 2)
+         dc_da_f[t] = c_before[t] * f[t] * (1 - f[t])
+         dc_da_i[t] = g[t] * i[t] * (1 - i[t])

gates as contiguous blocks
All but the product works on one gate at a time: contiguous blocks are read faster than parts of rows.
- gates = np.empty((T, 4, B, H), dtype)
+ gates = np.empty((T, B, 4, H), dtype).swapaxes(1, 2)
""",
    "stretches": """
stretches that fit into the cache
What is computed for many steps at once is still in the processor's cache when the loop reads it.
- ROWS, STEPS = 1024, 16
+ ROWS, STEPS = 10**9, 16
""",
}

ABLATIONS = tuple(Ablation(*entry) for entry in entries(CHANGES))
