#!/usr/bin/env bash
# torch.func.functional_call leaves its tensors behind in a module that has one layer at two places.
#
# Behaviour seen (torch 2.13.0, CPU build): functional_call is there to run a module with other
# tensors for once. Where a layer stands in a module under two names, as in nn.Sequential(a, f, a),
# the layer holds the given tensor after the call instead of its parameter, with the default
# tie_weights=True: the module computes other outputs from then on, and an optimizer that was made
# before goes on with a parameter that is in no layer any more. Nothing is raised. With
# tie_weights=False and one name for each parameter the module stays as it was, and so it does
# where two layers share a parameter (a.weight = b.weight).
#
# Output:
#   one layer twice, tie_weights=True: weight is a Tensor, outputs changed: True
#   one layer twice, tie_weights=False: weight is a Parameter, outputs changed: False
#   two layers, one weight, tie_weights=True: weight is a Parameter, outputs changed: False
#
# Ends with 0 if it still behaves so, and with something else if not.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6

cat >"$folder/call.py" <<'END'
import torch
from torch import nn
from torch.func import functional_call


def one_layer_twice():
    layer = nn.Linear(2, 2)
    return nn.Sequential(layer, nn.Tanh(), layer)


def one_weight_in_two_layers():
    module = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2))
    module[2].weight = module[0].weight
    return module


x = torch.ones(1, 2)
for name, make, tie in (
    ("one layer twice", one_layer_twice, True),
    ("one layer twice", one_layer_twice, False),
    ("two layers, one weight", one_weight_in_two_layers, True),
):
    torch.manual_seed(0)
    module = make()
    before = module(x)
    functional_call(module, {"0.weight": torch.zeros(2, 2)}, (x,), tie_weights=tie)
    kind = type(module[0].weight).__name__
    changed = not torch.equal(before, module(x))
    print(f"{name}, tie_weights={tie}: weight is a {kind}, outputs changed: {changed}")
END
"$folder/venv/bin/python" "$folder/call.py" | tee "$folder/seen"

# The lines of "Output" above.
sed -n '/^# Output:/,/^#$/s/^#   //p' "$0" | diff - "$folder/seen"
