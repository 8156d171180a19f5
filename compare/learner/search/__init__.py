"""Find the line of a mistake, and a change after which everything is right.

1. A Workshop (switches.py) runs variants of a program, on the case in which it is wrong.
2. An Investigation (suspects.py) finds the statements that could be wrong, and the values that would be right there.
3. A Search (repair.py) first tries the edits that give a statement such a value. Which do is known without a run: a
   Screen (screening.py) evaluates expressions where the statement runs, and a Synthesis (synthesis.py) builds them.
   Then it runs the other edits (edits.py), the likeliest first (costs.py).
4. `located` (locate.py) verifies what was found, and looks for a second mistake (several.py).

Words:
    slot    a place for variants: a statement, the gap before one, or the header of a loop; it has a number
    variant what may be put in a slot
    edit    a change that a person might make: a variant at one slot or at two
    suspect a statement, with what is known about it; it has a value each time that it runs
    leaf    one of several arrays in such a value
    moved   the entries of the results that change if a value does
    truth   a right gradient that was measured (truths.py) at a site of forward (readings.py)
    screen  decides whether an expression has the value that a statement needs
    part    an expression in that of a statement, if the statement's value is linear in it
    case    inputs, with the right results and gradients
"""
