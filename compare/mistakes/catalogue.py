"""Wrong backward passes that people write, and other mistakes that cost as much time, each as one change to scratch/.

Each entry has the right lines, the wrong ones, and the reason why people write them. All of them run, and all but the
one with a wrong shape train; only the numbers are wrong. plant.py gives `scratch` with one of them in it; table.py
shows which way of checking sees which.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mistake:
    """One change to one file of scratch/.

    file: the module's name; why: why people make it; right: the lines as they are, found there exactly once; wrong:
    the lines that replace them.
    """

    name: str
    file: str
    why: str
    right: str
    wrong: str


RNN = (
    Mistake(
        name="dh_not_carried",
        file="rnn",
        why="The gradient for the previous step gets a new name, and the loop keeps reading the old one.",
        right="""\
        carried = da[t] @ W_hh  # (B, H)
    dh_0 = carried
""",
        wrong="""\
        dh_0 = da[t] @ W_hh  # (B, H)
""",
    ),
    Mistake(
        name="tanh_taken_twice",
        file="rnn",
        why="The derivative is known as 1 - tanh(a)^2, and it is easy to forget that y is tanh(a) already.",
        right="dh_da = 1 - y**2 if",
        wrong="dh_da = 1 - np.tanh(y) ** 2 if",
    ),
    Mistake(
        name="slope_upside_down",
        file="rnn",
        why="The derivative is inverted: 1 / (1 - h^2) is da/dh, and the chain rule needs dh/da.",
        right="dh_da = 1 - y**2 if",
        wrong="dh_da = 1 / (1 - y**2) if",
    ),
    Mistake(
        name="relu_slope_at_zero",
        file="rnn",
        why="At the kink either slope will do, but this tests the output, which is 0 wherever the unit is off.",
        right="(y > 0).astype",
        wrong="(y >= 0).astype",
    ),
    Mistake(
        name="state_after_for_state_before",
        file="rnn",
        why="The states of all steps are at hand as y, and no shape shows that they are one step too late.",
        right="h_before = np.concatenate([h_0[None], y[:-1]])",
        wrong="h_before = y",
    ),
    Mistake(
        name="first_state_left_out",
        file="rnn",
        why="Training nearly always starts from zeros, so zeros are written in place of h_0.",
        right="h_before = np.concatenate([h_0[None], y[:-1]])",
        wrong="h_before = np.concatenate([np.zeros_like(h_0)[None], y[:-1]])",
    ),
    Mistake(
        name="matrix_for_its_transpose",
        file="rnn",
        why="The equation has W_hh^T, which becomes W_hh for row vectors, and a square matrix fits both ways.",
        right="carried = da[t] @ W_hh",
        wrong="carried = da[t] @ W_hh.T",
    ),
    Mistake(
        name="bias_of_the_last_step_only",
        file="rnn",
        why="In the formula for one step, db is da itself: no product is there to suggest a sum over steps.",
        right="db_hh = da_rows.sum(axis=0)",
        wrong="db_hh = da[-1].sum(axis=0)",
    ),
    Mistake(
        name="mean_over_the_batch",
        file="rnn",
        why="The loss is a mean over rows, so its gradient seems to need a division, but dy contains it already.",
        right="dW_hh = da_rows.T @ h_before.reshape(T * B, H)",
        wrong="dW_hh = da_rows.T @ h_before.reshape(T * B, H) / B",
    ),
    Mistake(
        name="clipped_inside_backward",
        file="rnn",
        why="Old examples clip here against exploding gradients, and the result is no longer the gradient.",
        right="carried = da[t] @ W_hh",
        wrong="carried = np.clip(da[t] @ W_hh, -5, 5)",
    ),
    Mistake(
        name="upstream_overwritten",
        file="rnn",
        why="dy has the shape that dh needs and is not used again, so this saves an array, but it is the caller's.",
        right="dh = np.empty_like(dh_da)",
        wrong="dh = dy",
    ),
)

GRU = (
    Mistake(
        name="dh_from_the_loss_alone",
        file="gru",
        why="The equations are taken from a page that treats a single step, where only the loss reads h_t.",
        right="dh[t] = dy[t] + carried",
        wrong="dh[t] = dy[t]",
    ),
    Mistake(
        name="direct_path_missing",
        file="gru",
        why="One looks for h_{t-1} in the matrix products, but the last equation multiplies it by z_t as well.",
        right="carried = dh[t] * z[t] + dv[t] @ W_hh",
        wrong="carried = dv[t] @ W_hh",
    ),
    Mistake(
        name="past_weighed_by_1_minus_z",
        file="gru",
        why="Papers disagree on which of z and 1 - z keeps the past, and this backward follows another one.",
        right="carried = dh[t] * z[t] +",
        wrong="carried = dh[t] * (1 - z[t]) +",
    ),
    Mistake(
        name="n_weighed_by_z",
        file="gru",
        why="The same disagreement at the other end of the mixture: here the new value is weighted by 1 - z.",
        right="dh_du_n = (1 - z) * (1 - n**2)",
        wrong="dh_du_n = z * (1 - n**2)",
    ),
    Mistake(
        name="sign_of_dz",
        file="gru",
        why="n comes first in the equation, and it is easy to miss that 1 - z makes its sign negative.",
        right="(h_before - n) * z * (1 - z)",
        wrong="(n - h_before) * z * (1 - z)",
    ),
    Mistake(
        name="slope_of_n_missing",
        file="gru",
        why="The weight of n_t looks like a derivative already, so nobody misses the derivative of its tanh.",
        right="dh_du_n = (1 - z) * (1 - n**2)",
        wrong="dh_du_n = 1 - z",
    ),
    Mistake(
        name="reset_gate_forgotten",
        file="gru",
        why="In the other blocks u and v are only ever added, so their gradients are equal there.",
        right="dh_dv_n[...] = dh_du_n * r",
        wrong="dh_dv_n[...] = dh_du_n",
    ),
    Mistake(
        name="n_for_v_n",
        file="gru",
        why="n_t is kept anyway, while v_n, which the reset gate multiplies, has to be kept for this line alone.",
        right="dh_du_n * v_n * r * (1 - r)",
        wrong="dh_du_n * n * r * (1 - r)",
    ),
    Mistake(
        name="slope_of_r_missing",
        file="gru",
        why="The line is long and starts with one derivative, so the second one at its end is not missed.",
        right="dh_du_n * v_n * r * (1 - r)",
        wrong="dh_du_n * v_n",
    ),
    Mistake(
        name="n_dropped_from_dh_before",
        file="gru",
        why="r and z are handled together throughout, and the third block's path to h_{t-1} is left out.",
        right="+ dv[t] @ W_hh",
        wrong="+ dv[t, :, : 2 * H] @ W_hh[: 2 * H]",
    ),
    Mistake(
        name="du_is_not_dv",
        file="gru",
        why="In the RNN and the LSTM both sums have the same gradient, and the shapes fit here, too.",
        right="inputs.backward(du, x, W_ih)",
        wrong="inputs.backward(dv, x, W_ih)",
    ),
    Mistake(
        name="one_gradient_for_both_biases",
        file="gru",
        why="The line is copied from the RNN or the LSTM, where both biases are in the same sum.",
        right="db_ih = du.sum(axis=(0, 1))",
        wrong="db_ih = db_hh.copy()",
    ),
)

LSTM = (
    Mistake(
        name="dh_replaced",
        file="lstm",
        why="It works where only the last state has a loss, and is not changed when every step gets one.",
        right="dh[t] = dy[t] + dh_carried",
        wrong="dh[t] = dh_carried",
    ),
    Mistake(
        name="dc_replaced",
        file="lstm",
        why="Most lines of the forward give one product here, but c_t is read twice, so two terms must be added.",
        right="dc[t] = dh[t] * dh_dc[t] + dc_carried",
        wrong="dc[t] = dh[t] * dh_dc[t]",
    ),
    Mistake(
        name="dc_carried_whole",
        file="lstm",
        why="The cell is said to carry the gradient unchanged, which was true before it got a forget gate.",
        right="dc_carried = dc[t] * f[t]",
        wrong="dc_carried = dc[t].copy()",
    ),
    Mistake(
        name="immediate_for_total",
        file="lstm",
        why="dy[t] is called the gradient of h_t, but it is only the part from the loss, and the cell needs the total.",
        right="dc[t] = dh[t] * dh_dc[t]",
        wrong="dc[t] = dy[t] * dh_dc[t]",
    ),
    Mistake(
        name="slope_from_c",
        file="lstm",
        why="The rule is one minus the output squared, but c_t is the input of this tanh, not its output.",
        right="o * (1 - tanh_c**2)",
        wrong="o * (1 - c**2)",
    ),
    Mistake(
        name="c_for_tanh_c",
        file="lstm",
        why="The tanh between c_t and h_t has no name of its own in the equations and is overlooked.",
        right="tanh_c * o * (1 - o)",
        wrong="c * o * (1 - o)",
    ),
    Mistake(
        name="cell_after_for_cell_before",
        file="lstm",
        why="Everything else in this block belongs to step t, and only c must be from the step before.",
        right="c_before * f * (1 - f)",
        wrong="c * f * (1 - f)",
    ),
    Mistake(
        name="h_after_for_h_before",
        file="lstm",
        why="dW is a sum of da_t times h, and the index of h is copied from da.",
        right="da_rows.T @ h_before.reshape(T * B, H)",
        wrong="da_rows.T @ y.reshape(T * B, H)",
    ),
    Mistake(
        name="slope_of_one_gate_missing",
        file="lstm",
        why="Four similar lines are typed one after the other, and one of them ends too soon.",
        right="dc_da_i[...] = g * i * (1 - i)",
        wrong="dc_da_i[...] = g",
    ),
    Mistake(
        name="sigmoid_slope_for_g",
        file="lstm",
        why="Three of the four blocks are sigmoids, and the tanh block is treated like them.",
        right="i * (1 - g**2)",
        wrong="i * g * (1 - g)",
    ),
    Mistake(
        name="gates_in_another_order",
        file="lstm",
        why="Many texts use the order i f o g, torch uses i f g o, and all blocks have the same shape.",
        right="dc_da_i, dc_da_f, dc_da_g, dh_da_o = slopes",
        wrong="dc_da_i, dc_da_f, dh_da_o, dc_da_g = slopes",
    ),
    Mistake(
        name="gate_dropped_from_dh_before",
        file="lstm",
        why="Written out, it is a sum of four products, and the one of the input gate is left out.",
        right="dh_carried = da[t] @ W_hh",
        wrong="dh_carried = da[t, :, H:] @ W_hh[H:]",
    ),
    Mistake(
        name="each_block_transposed",
        file="lstm",
        why="Each gate's block of W_hh is square, so a product per gate fits with the transpose as well.",
        right="dh_carried = da[t] @ W_hh",
        wrong="dh_carried = da[t] @ np.concatenate([W.T for W in np.split(W_hh, 4)])",
    ),
    Mistake(
        name="weights_of_the_last_step_only",
        file="lstm",
        why="The formula for one step is da_t times h_{t-1}, and = in place of += keeps one of them.",
        right="da_rows.T @ h_before.reshape(T * B, H)",
        wrong="da[-1].T @ h_before[-1]",
    ),
    Mistake(
        name="bias_as_a_row",
        file="lstm",
        why="keepdims=True, or a bias kept as (1, 4H) elsewhere, and broadcasting accepts it everywhere.",
        right="db_hh = da_rows.sum(axis=0)",
        wrong="db_hh = da_rows.sum(axis=0, keepdims=True)",
    ),
    Mistake(
        name="one_array_for_two_biases",
        file="lstm",
        why="The two are equal, so a copy looks wasteful, until clipping scales the one array twice.",
        right="db_ih = db_hh.copy()",
        wrong="db_ih = db_hh",
    ),
    Mistake(
        name="dc_n_overwritten",
        file="lstm",
        why="Writing in place saves an array at every step, but at the last step that array is the caller's.",
        right="dc_carried = dc[t] * f[t]",
        wrong="np.multiply(dc[t], f[t], out=dc_carried)",
    ),
    Mistake(
        name="parameter_changed_in_forward",
        file="lstm",
        why="The sum is the same and an array is saved, but every forward changes b_ih.",
        right="u = inputs.forward(x, W_ih, b_ih + b_hh)",
        wrong="b_ih += b_hh\n    u = inputs.forward(x, W_ih, b_ih)",
    ),
)

MINGRU = (
    Mistake(
        name="factor_of_this_step",
        file="mingru",
        why="In forward, step t has the factor of step t, and the same scan runs backwards with the same factors.",
        right="keep_after = np.concatenate([1 - z[1:], np.ones_like(z[:1])])",
        wrong="keep_after = 1 - z",
    ),
    Mistake(
        name="last_factor_is_a_gate",
        file="mingru",
        why="The factors are shifted by rolling the array, and the last step gets the factor of the first.",
        right="keep_after = np.concatenate([1 - z[1:], np.ones_like(z[:1])])",
        wrong="keep_after = np.roll(1 - z, -1, axis=0)",
    ),
    Mistake(
        name="scan_not_turned_back",
        file="mingru",
        why="The arguments are reversed, and it is easy to miss that the result then is reversed as well.",
        right="dh = scan(keep_after[::-1], dy[::-1], dh_n)[::-1]",
        wrong="dh = scan(keep_after[::-1], dy[::-1], dh_n)",
    ),
    Mistake(
        name="scan_from_first_to_last",
        file="mingru",
        why="The function is the one that forward calls, and nothing in the call shows a direction.",
        right="dh = scan(keep_after[::-1], dy[::-1], dh_n)[::-1]",
        wrong="dh = scan(keep_after, dy, dh_n)",
    ),
    Mistake(
        name="dh_0_without_its_factor",
        file="mingru",
        why="The scan ends with the gradient of h_1, the first state that it knows, and h_0 is one factor further.",
        right="dh_0 = (1 - z[0]) * dh[0]",
        wrong="dh_0 = dh[0].copy()",
    ),
    Mistake(
        name="new_weighed_by_1_minus_z",
        file="mingru",
        why="torch's GRU has 1 - z there, and minGRU is introduced as a simpler GRU.",
        right="da_n = dh * z",
        wrong="da_n = dh * (1 - z)",
    ),
    Mistake(
        name="mixed_with_the_state_after",
        file="mingru",
        why="y is at hand, and without a loop nothing recalls that z_t weighs n_t against the state before.",
        right="da_z = dh * (n - h_before) * z * (1 - z)",
        wrong="da_z = dh * (n - y) * z * (1 - z)",
    ),
)

SCAN = (
    Mistake(
        name="spans_not_combined",
        file="scan",
        why="The states are what one wants, and their factors are taken for constants.",
        right="        a[span:] = a[span:] * a[:-span]\n",
        wrong="",
    ),
    Mistake(
        name="first_state_left_out_of_the_scan",
        file="scan",
        why="The rounds combine steps with steps, and h_0 is none.",
        right="    h[0] += a[0] * h_0\n",
        wrong="",
    ),
)

INPUTS = (
    Mistake(
        name="steps_and_rows_mixed",
        file="inputs",
        why="Many frameworks put the batch first, and after the reshape nothing distinguishes the two orders.",
        right="x.reshape(-1, x.shape[2])",
        wrong="x.swapaxes(0, 1).reshape(-1, x.shape[2])",
    ),
    Mistake(
        name="input_weights_averaged",
        file="inputs",
        why="A mean makes the gradient independent of the batch size, but the loss is a mean already.",
        right="dW_ih = du_rows.T @ x.reshape(-1, x.shape[2])",
        wrong="dW_ih = du_rows.T @ x.reshape(-1, x.shape[2]) / du.shape[1]",
    ),
    Mistake(
        name="rows_left_unsorted",
        file="inputs",
        why="The ids get sorted and their rows do not, and with a small vocabulary this branch never runs.",
        right="np.add.reduceat(rows[order], starts, axis=0)",
        wrong="np.add.reduceat(rows, starts, axis=0)",
    ),
)

STRETCHES = (
    Mistake(
        name="padding_run_through",
        file="stretches",
        why="Everything fits without the lengths, but the state then comes from the last padded step.",
        right="n = B if lengths is None else int(np.sum(lengths >= end))",
        wrong="n = B",
    ),
    Mistake(
        name="reverse_starts_on_padding",
        file="stretches",
        why="Reversing the whole array is a simple slice, but then the padding comes first.",
        right="""\
    if lengths is None:
        return x[::-1]
""",
        wrong="""\
    return x[::-1]
""",
    ),
    Mistake(
        name="ended_rows_forget",
        file="stretches",
        why="A new array of states is filled for the rows still running, and the others stay zero.",
        right="np.concatenate([s_last, s[n:]])",
        wrong="np.concatenate([s_last, np.zeros_like(s[n:])])",
    ),
    Mistake(
        name="ended_rows_lose_dh_n",
        file="stretches",
        why="A row that has ended seems to have no gradient yet, but it has its dh_n.",
        right="np.concatenate([ds_first, ds[n:]])",
        wrong="np.concatenate([ds_first, np.zeros_like(ds[n:])])",
    ),
    Mistake(
        name="states_written_in_place",
        file="stretches",
        why="It saves a copy, but the first array that it writes into is the caller's h_0.",
        right="state = [np.concatenate([s_last, s[n:]]) for s, s_last in zip(state, last, strict=True)]",
        wrong="_ = [np.copyto(s[:n], s_last) for s, s_last in zip(state, last, strict=True)]",
    ),
    Mistake(
        name="one_stretch_of_the_sum",
        file="stretches",
        why="= in place of += again: each stretch has a full set of gradients, so those of one look complete.",
        right="share if dweights is None else [total + part for total, part in zip(dweights, share, strict=True)]",
        wrong="share",
    ),
    Mistake(
        name="every_stretch_starts_from_dh_n",
        file="stretches",
        why="The argument is called dstate_n, which is true of the last stretch only; the others continue.",
        right="running = [ds[:n] for ds in dstate]",
        wrong="running = [ds[:n] for ds in dstate_n]",
    ),
)

RECURRENT = (
    Mistake(
        name="reverse_gradient_not_added",
        file="recurrent",
        why="Each direction returns a full dx, so the second one looks like the result.",
        right="dy = shares[0] + shares[1] if D == 2 else shares[0]",
        wrong="dy = shares[-1]",
    ),
    Mistake(
        name="halves_swapped",
        file="recurrent",
        why="The backward visits the directions in reverse order, and the halves of dy get reversed with them.",
        right="dy[:, :, k % D * H : (k % D + 1) * H]",
        wrong="dy[:, :, (D - 1 - k % D) * H : (D - k % D) * H]",
    ),
    Mistake(
        name="dy_not_turned_round",
        file="recurrent",
        why="The forward reverses its input before the cell and its output after it, and one of the two is forgotten.",
        right="        dy = stretches.reverse(dy, lengths) if backwards else dy\n",
        wrong="",
    ),
    Mistake(
        name="dx_not_turned_back",
        file="recurrent",
        why="The shapes and the parameters' gradients are right without it, and nobody looks at dx.",
        right="dx = stretches.reverse(dx, lengths)  # (T, B, I)",
        wrong="pass",
    ),
    Mistake(
        name="first_state_gets_zero",
        file="recurrent",
        why="The initial state is not learned, so its gradient is filled with zeros until it is needed.",
        right="zip(*(dfirst[k] for k in sorted(dfirst)), strict=True)",
        wrong="zip(*([0 * ds for ds in dfirst[k]] for k in sorted(dfirst)), strict=True)",
    ),
    Mistake(
        name="omitted_upstream_is_ones",
        file="recurrent",
        why="A backward pass starts with a gradient of one, but that is the loss's, not that of every output.",
        right="dy = np.zeros((T, B, D * H), ",
        wrong="dy = np.ones((T, B, D * H), ",
    ),
    Mistake(
        name="gradients_pile_up",
        file="recurrent",
        why="torch accumulates gradients and has zero_grad for it; here nothing clears them between calls.",
        right="{name: grads[name] for name in self.params}",
        wrong="{name: self.grads.get(name, 0) + grads[name] for name in self.params}",
    ),
    Mistake(
        name="not_handed_down",
        file="recurrent",
        why="The outputs of all layers have one shape, so each layer takes the dy of the top one.",
        right="""\
        for layer in reversed(range(self.num_layers)):
            shares = []
            for k in reversed(range(layer * D, (layer + 1) * D)):
                dy_k = dy[""",
        wrong="""\
        dy_top = dy
        for layer in reversed(range(self.num_layers)):
            shares = []
            for k in reversed(range(layer * D, (layer + 1) * D)):
                dy_k = dy_top[""",
    ),
    Mistake(
        name="order_for_its_inverse",
        file="recurrent",
        why="Undoing the sort looks like sorting, and for two rows it is the same.",
        right="dx = dy[:, inverse] if",
        wrong="dx = dy[:, order] if",
    ),
    Mistake(
        name="state_of_the_layer",
        file="recurrent",
        why="With one direction, the layer's number is the state's number; the second direction is added later.",
        right="self._forward_entry(k, below, [s[k] for s in state]",
        wrong="self._forward_entry(k, below, [s[layer] for s in state]",
    ),
)

LAYERS = (
    Mistake(
        name="repeated_ids_lost",
        file="layers",
        why="grads[ids] += dy looks like a sum, but NumPy keeps only one row per id.",
        right='self.grads = {"weight": sum_by_id(dy.reshape(-1, E), self._ids.ravel(), V)}',
        wrong="""\
self.grads = {"weight": np.zeros((V, E), dy.dtype)}
        self.grads["weight"][self._ids] += dy""",
    ),
    Mistake(
        name="weight_gradient_adds_up",
        file="layers",
        why="One array is kept and added to, and only the second training step goes wrong.",
        right='{"weight": dy_rows.T @ x_rows,',
        wrong='{"weight": self.grads.get("weight", 0) + dy_rows.T @ x_rows,',
    ),
    Mistake(
        name="bias_gradient_averaged",
        file="layers",
        why="Sum and mean differ by a factor, and the learning rate hides it until the batch size changes.",
        right="dy_rows.sum(axis=0)",
        wrong="dy_rows.mean(axis=0)",
    ),
    Mistake(
        name="new_mask_in_backward",
        file="layers",
        why="backward draws its own mask, as forward does, and drops other numbers than the loss has seen dropped.",
        right="dy * self._factor",
        wrong="dy * np.random.default_rng().permuted(self._factor)",
    ),
    Mistake(
        name="dropout_not_scaled",
        file="layers",
        why="The mask looks like all there is to dropout; the mean then differs between training and evaluation.",
        right="kept / x.dtype.type(1 - self.p)",
        wrong="kept.astype(x.dtype)",
    ),
    Mistake(
        name="dropout_in_evaluation",
        file="layers",
        why="The layer draws whenever nobody hands it a mask, and a held-out metric that is noisy looks plausible.",
        right="self._factor = None if kept is None else kept /",
        wrong="self._factor = (np.random.default_rng().random(x.shape) >= self.p if kept is None else kept) /",
    ),
)

LOSSES = (
    Mistake(
        name="softmax_without_minus_one",
        file="losses",
        why="The probabilities are the long part of the formula, and the 1 of the right class is forgotten.",
        right="    dlogits[rows, ids] -= 1\n",
        wrong="",
    ),
    Mistake(
        name="not_divided_by_the_count",
        file="losses",
        why="The textbook's p - y is for one example, and the mean that the loss takes is forgotten.",
        right="    dlogits /= count\n",
        wrong="",
    ),
    Mistake(
        name="padding_in_the_count",
        file="losses",
        why="The number of rows is at hand as len(ids), but it includes those that are not valid.",
        right="dlogits /= count",
        wrong="dlogits /= len(ids)",
    ),
    Mistake(
        name="mean_over_padding_too",
        file="losses",
        why="A mean over the whole array is simpler; loss and gradient agree, and both are too small.",
        right="math.prod(targets_shape) if valid is None else int(valid.sum())",
        wrong="math.prod(targets_shape)",
    ),
    Mistake(
        name="mask_forgotten_in_the_gradient",
        file="losses",
        why="The loss is masked and looks right, but the gradient comes from a line that ignores the mask.",
        right="""\
    if valid is not None:
        dlogits[~valid.ravel()] = 0  # not a product with the mask: nan * 0 is nan
""",
        wrong="",
    ),
    Mistake(
        name="mask_multiplied",
        file="losses",
        why="Multiplying by 0 removes everything except a nan in the padding.",
        right="dlogits[~valid.ravel()] = 0",
        wrong="dlogits *= valid.ravel()[:, None]",
    ),
    Mistake(
        name="logits_overwritten",
        file="losses",
        why="-= works in place, and reshape returned a view, so the caller's array changes.",
        right="z = z - z.real.max(axis=1, keepdims=True)",
        wrong="z -= z.real.max(axis=1, keepdims=True)",
    ),
    Mistake(
        name="largest_logit_not_subtracted",
        file="losses",
        why="The formula has no such term, and while the logits are small, nothing goes wrong.",
        right="z = z - z.real.max(axis=1, keepdims=True)",
        wrong="z = z.copy()",
    ),
    Mistake(
        name="factor_two_missing",
        file="losses",
        why="Half the squared error is as common, has no 2 in its gradient, and the two get mixed up.",
        right="return loss, 2 * difference / count",
        wrong="return loss, difference / count",
    ),
)

OPTIMIZERS = (
    Mistake(
        name="dampened_momentum",
        file="optimizers",
        why="Adam's averages have a factor 1 - beta, so momentum gets one too, and steps become ten times shorter.",
        right="self.momentum * self.v[name] + g\n",
        wrong="self.momentum * self.v[name] + (1 - self.momentum) * g\n",
    ),
    Mistake(
        name="no_look_ahead",
        file="optimizers",
        why="The option is accepted and stored, and plain momentum trains nearly as well.",
        right="g = g + self.momentum * self.v[name] if self.nesterov else self.v[name]",
        wrong="g = self.v[name]",
    ),
    Mistake(
        name="velocity_is_the_gradient",
        file="optimizers",
        why="The formula says v = g, but without a copy it is the caller's array, which the next batch overwrites.",
        right="self.v[name] = g.copy()",
        wrong="self.v[name] = g",
    ),
    Mistake(
        name="decay_written_into_the_gradient",
        file="optimizers",
        why="+= in place of +: the step is the same, but the caller's gradient changes.",
        right="""\
                g = g + self.weight_decay * p
            if self.momentum:
""",
        wrong="""\
                g += self.weight_decay * p
            if self.momentum:
""",
    ),
    Mistake(
        name="no_bias_correction",
        file="optimizers",
        why="It matters in the first steps only, and a run of thousands looks much the same.",
        right="p -= self.lr / (1 - beta1**self.t) * m / denominator",
        wrong="p -= self.lr * m / denominator",
    ),
    Mistake(
        name="epsilon_inside_the_correction",
        file="optimizers",
        why="The paper gives this form as a faster one, and only small gradients show that torch's differs.",
        right="np.sqrt(v) / (1 - beta2**self.t) ** 0.5 + self.eps",
        wrong="(np.sqrt(v) + self.eps) / (1 - beta2**self.t) ** 0.5",
    ),
    Mistake(
        name="l2_for_decoupled_decay",
        file="optimizers",
        why="For SGD the two are the same, so AdamW's decay is added to the gradient as well.",
        right="""\
        for p in self.params.values():
            p *= 1 - self.lr * self.weight_decay
        self._update(grads)
""",
        wrong="""\
        super().step(grads)
""",
    ),
    Mistake(
        name="decay_without_the_learning_rate",
        file="optimizers",
        why="The paper keeps its decay separate from the learning rate; torch multiplies the two.",
        right="p *= 1 - self.lr * self.weight_decay",
        wrong="p *= 1 - self.weight_decay",
    ),
    Mistake(
        name="epsilon_under_the_root",
        file="optimizers",
        why="Other libraries put it there, and it prevents the division by zero just as well.",
        right="b += g / (np.sqrt(v) + self.eps)",
        wrong="b += g / np.sqrt(v + self.eps)",
    ),
    Mistake(
        name="decay_one_step_ahead",
        file="optimizers",
        why="t is incremented first, as Adam needs it, but here it should still be the previous step's.",
        right="(self.t - 1) * self.lr_decay",
        wrong="self.t * self.lr_decay",
    ),
    Mistake(
        name="clipped_element_by_element",
        file="optimizers",
        why="np.clip has the right name and bounds every number, but it changes the direction of the gradient.",
        right="g *= scale",
        wrong="np.clip(g, -max_norm, max_norm, out=g)",
    ),
    Mistake(
        name="one_norm_for_each_array",
        file="optimizers",
        why="The loop over the arrays exists already, and computing the norm inside it is shorter.",
        right="g *= scale",
        wrong="g *= min(1, max_norm / (np.sqrt(np.sum(g**2)) + 1e-6))",
    ),
    Mistake(
        name="short_gradients_stretched",
        file="optimizers",
        why="Clipping is remembered as scaling to a norm, without the test whether the gradient is too long.",
        right="if not scale >= 1:",
        wrong="if np.isfinite(scale):",
    ),
)

MODEL = (
    Mistake(
        name="last_output_for_last_state",
        file="model",
        why="y[-1] is the last state unless a row has ended earlier or a direction has only just started there.",
        right="y = np.concatenate(h_n[-self.recurrent.directions :], axis=1)",
        wrong="y = y[-1]",
    ),
    Mistake(
        name="last_state_in_the_other_direction",
        file="model",
        why="reshape silently makes (D, B, H) of it but moves no axis, so directions and rows get mixed.",
        right="dy.reshape(B, D, H).swapaxes(0, 1)",
        wrong="dy.reshape(D, B, H)",
    ),
    Mistake(
        name="last_state_into_the_first_layer",
        file="model",
        why="With one layer, the first entries are the last ones.",
        right="dh_n[-D:] = dy",
        wrong="dh_n[:D] = dy",
    ),
    Mistake(
        name="one_padded_step_counted",
        file="model",
        why="<= in place of <: loss and gradient agree, but every padded row has one target too many.",
        right="np.arange(len(batch.inputs))[:, None] < batch.lengths",
        wrong="np.arange(len(batch.inputs))[:, None] <= batch.lengths",
    ),
    Mistake(
        name="state_dropped_on_the_way",
        file="model",
        why="One of two branches passes the state on, and the other silently starts from zeros.",
        right="self.recurrent.forward(x, state, lengths)",
        wrong="self.recurrent.forward(x, None, lengths)",
    ),
)

TRAINING = (
    Mistake(
        name="state_not_carried",
        file="training",
        why="Without it a model still learns whatever fits into one window.",
        right="state = model.state_n if dataset.carry_state else None",
        wrong="state = None",
    ),
    Mistake(
        name="state_carried_between_strangers",
        file="training",
        why="What is right for a text cut into windows is done for sequences that are unrelated.",
        right="state = model.state_n if dataset.carry_state else None",
        wrong="state = model.state_n",
    ),
    Mistake(
        name="state_carried_across_epochs",
        file="training",
        why="The initial state is set once, outside the loop, so the end of the text precedes its beginning.",
        right="epoch, state = epoch + 1, None",
        wrong="epoch += 1",
    ),
    Mistake(
        name="clipped_after_the_step",
        file="training",
        why="The two lines run in either order without an error, and the reported norm is right.",
        right="""\
            norm = float(clip_grad_norm(grads, float("inf") if clip is None else clip))  # scales grads in place
            optimizer.step(grads)
""",
        wrong="""\
            optimizer.step(grads)
            norm = float(clip_grad_norm(grads, float("inf") if clip is None else clip))  # scales grads in place
""",
    ),
)

MISTAKES = (
    *RNN,
    *GRU,
    *LSTM,
    *MINGRU,
    *SCAN,
    *INPUTS,
    *STRETCHES,
    *RECURRENT,
    *LAYERS,
    *LOSSES,
    *OPTIMIZERS,
    *MODEL,
    *TRAINING,
)
BY_NAME = {mistake.name: mistake for mistake in MISTAKES}
