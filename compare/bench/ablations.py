"""What makes a step by hand fast: each trick as the lines that do without it, so that its gain can be measured.

The lines are those of the LSTM. `byhand bench --tricks` times a step without each of them.
"""

from compare.mistakes.catalogue import Mistake as Without

SLOPES_BEFORE_THE_LOOP = """\
    # (L4)  h_t = o_t * tanh(c_t)
    dh_dc = o * (1 - tanh_c**2)  # (T, B, H)  not 1 - c**2: the slope of tanh is read off its output
    dh_da_o[...] = tanh_c * o * (1 - o)
    # (L3) and (L2)  c_t = f_t * c_{t-1} + i_t * g_t
    dc_da_g[...] = i * (1 - g**2)
    dc_da_f[...] = c_before * f * (1 - f)  # the forget gate met c_{t-1}, not c_t
    dc_da_i[...] = g * i * (1 - i)
"""

TRICKS = (
    Without(
        name="one product for all steps' inputs",
        file="inputs",
        why="The inputs wait for no state. (Measured on numbers, not ids.)",
        right="u = x.reshape(T * B, I) @ W_ih.T",
        wrong="u = np.concatenate([x_t @ W_ih.T for x_t in x])",
    ),
    Without(
        name="one product for dW_hh after the loop",
        file="lstm",
        why="Every step used the same weights, so the products of all steps are one long product.",
        right="dW_hh = da_rows.T @ h_before.reshape(T * B, H)",
        wrong="dW_hh = sum(da[t].T @ h_before[t] for t in range(T))",
    ),
    Without(
        name="slopes of all steps before the loop",
        file="lstm",
        why="They depend on no other step, and NumPy has the same cost for a call on one step as on sixty.",
        right=SLOPES_BEFORE_THE_LOOP,
        wrong="    dh_dc = np.empty_like(c)\n    for t in range(T):\n"
        + "".join(
            f"        {line}\n"
            for line in (
                "dh_dc[t] = o[t] * (1 - tanh_c[t] ** 2)",
                "dh_da_o[t] = tanh_c[t] * o[t] * (1 - o[t])",
                "dc_da_g[t] = i[t] * (1 - g[t] ** 2)",
                "dc_da_f[t] = c_before[t] * f[t] * (1 - f[t])",
                "dc_da_i[t] = g[t] * i[t] * (1 - i[t])",
            )
        ),
    ),
    Without(
        name="stretches that fit the cache",
        file="stretches",
        why="What is computed for many steps at once is still in the processor's cache when the loop reads it.",
        right="ROWS, STEPS = 1024, 16",
        wrong="ROWS, STEPS = 10**9, 16",
    ),
    Without(
        name="gates as contiguous blocks",
        file="lstm",
        why="Everything but the product works on one gate at a time: whole blocks are read faster than slices of rows.",
        right="gates = np.empty((T, 4, B, H), dtype)",
        wrong="gates = np.empty((T, B, 4, H), dtype).swapaxes(1, 2)",
    ),
    Without(
        name="one tanh for all gates",
        file="lstm",
        why="sigmoid is a stretched tanh, and one call on four gates costs less than four calls.",
        right="gates[t] = np.tanh(gate_blocks(a, 4) * half) * half + rest",
        wrong="""\
a_i, a_f, a_g, a_o = gate_blocks(a, 4)
        for k, block in ((0, a_i), (1, a_f), (3, a_o)):
            gates[t, k] = 1 / (1 + np.exp(-block))
        gates[t, 2] = np.tanh(a_g)""",
    ),
    Without(
        name="W_hh transposed once",
        file="lstm",
        why="OpenBLAS multiplies small matrices faster when neither has to be read across.",
        right="W_hh_T = np.ascontiguousarray(W_hh.T)",
        wrong="W_hh_T = W_hh.T",
    ),
    Without(
        name="dtable by one product with one-hot rows",
        file="inputs",
        why="For a small alphabet the product is faster than bringing the rows of one id together.",
        right="ONE_HOT = 128",
        wrong="ONE_HOT = 0",
    ),
)
