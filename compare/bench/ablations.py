"""What makes a training step by hand fast: each optimization as the lines that do without it, to measure what it gains.

The lines are those of the LSTM. `byhand bench --tricks` times a step without each of them.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Ablation:
    """One optimization, and the lines of scratch/ that do without it. compare.mistakes.plant.planted makes the change.

    file: the module's name; why: why it is faster; right: the lines as they are; wrong: the slower ones; inputs: "ids",
    or "numbers" for an optimization that ids do not use.
    """

    name: str
    file: str
    why: str
    right: str
    wrong: str
    inputs: str = "ids"


LOCAL_DERIVATIVES = """\
    # (L4)  h_t = o_t * tanh(c_t)
    dh_dc = o * (1 - tanh_c**2)  # (T, B, H)  not 1 - c**2: the slope of tanh is read off its output
    dh_da_o[...] = tanh_c * o * (1 - o)
    # (L3) and (L2)  c_t = f_t * c_{t-1} + i_t * g_t
    dc_da_g[...] = i * (1 - g**2)
    dc_da_f[...] = c_before * f * (1 - f)  # the forget gate met c_{t-1}, not c_t
    dc_da_i[...] = g * i * (1 - i)
"""
STEP_BY_STEP = """\
    dh_dc = np.empty_like(c)
    for t in range(T):
        dh_dc[t] = o[t] * (1 - tanh_c[t] ** 2)
        dh_da_o[t] = tanh_c[t] * o[t] * (1 - o[t])
        dc_da_g[t] = i[t] * (1 - g[t] ** 2)
        dc_da_f[t] = c_before[t] * f[t] * (1 - f[t])
        dc_da_i[t] = g[t] * i[t] * (1 - i[t])
"""

ABLATIONS = (
    Ablation(
        name="ids looked up in the projected table",
        file="model",
        why="W_ih is multiplied with the V rows of the embedding once, not with every step's own row.",
        right='len(self.embedding.params["weight"]) < np.size(inputs)',
        wrong="False",
    ),
    Ablation(
        name="one product for all input projections",
        file="inputs",
        why="W_ih x_t does not depend on a state. (Measured with numbers as inputs.)",
        right="u = x.reshape(T * B, I) @ W_ih.T",
        wrong="u = np.concatenate([x_t @ W_ih.T for x_t in x])",
        inputs="numbers",
    ),
    Ablation(
        name="one product for dW_hh after the loop",
        file="lstm",
        why="Every step uses the same weights, so the products of all steps are one long product.",
        right="dW_hh = da_rows.T @ h_before.reshape(T * B, H)",
        wrong="dW_hh = sum(da[t].T @ h_before[t] for t in range(T))",
    ),
    Ablation(
        name="local derivatives before the loop",
        file="lstm",
        why="They depend on no other step, and a NumPy call costs the same for one step as for sixty.",
        right=LOCAL_DERIVATIVES,
        wrong=STEP_BY_STEP,
    ),
    Ablation(
        name="stretches that fit into the cache",
        file="stretches",
        why="What is computed for many steps at once is still in the processor's cache when the loop reads it.",
        right="ROWS, STEPS = 1024, 16",
        wrong="ROWS, STEPS = 10**9, 16",
    ),
    Ablation(
        name="gates as contiguous blocks",
        file="lstm",
        why="All but the product works on one gate at a time: contiguous blocks are read faster than parts of rows.",
        right="gates = np.empty((T, 4, B, H), dtype)",
        wrong="gates = np.empty((T, B, 4, H), dtype).swapaxes(1, 2)",
    ),
    Ablation(
        name="dtable as a product with one-hot rows",
        file="inputs",
        why="For a small alphabet the product is faster than sorting the rows by id.",
        right="ONE_HOT = 128",
        wrong="ONE_HOT = 0",
    ),
)
