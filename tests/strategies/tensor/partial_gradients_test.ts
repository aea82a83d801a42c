import { assertEquals } from "@std/assert";
import { allocateGradients, constant, Scope } from "../../../nn/mod.ts";
import { PartialGradients, TensorParallel } from "../../../strategies/mod.ts";
import { makeBackend } from "../../support/device.ts";
import { fakeGroup } from "../support/fake_group.ts";

Deno.test("PartialGradients sums exactly the gradients of rows, in one operation", () => {
  const kernels = makeBackend(), scope = Scope.root(kernels.heap, 1);
  const [norm, weight, bias] = [["norm", 3], ["weight", 8], ["bias", 5]].map(([name, length]) =>
    scope.child(name as string).parameter("p", [length as number], constant(0))
  );
  kernels.fill(1, allocateGradients(kernels.heap, scope.parameters));
  const lengths: number[] = [];
  const group = fakeGroup(2, 0, {
    allReduce: (span) => {
      lengths.push(span.length);
      kernels.scale(2, span);
    },
  });
  new PartialGradients(group, kernels, [norm, bias]).sum();
  assertEquals(lengths, [8]);
  const sums = [norm, weight, bias].map(({ gradient }) => [...new Set(kernels.heap.f32(gradient))]);
  assertEquals(sums, [[2], [1], [2]]);
  new PartialGradients(fakeGroup(2), kernels, []).sum();
});

Deno.test("partialParameters() are those that are whole but see some rows, under sequence parallelism only", () => {
  const names = (sequenceParallel: boolean, size = 2) => {
    const plan = { up: { kind: "column" }, down: { kind: "row" }, stem: { kind: "whole" } } as const;
    const parallel = new TensorParallel(fakeGroup(size), plan, { sequenceParallel });
    const scope = Scope.root(makeBackend().heap, 1, parallel);
    for (const layer of ["stem", "up", "norm", "down"]) {
      scope.child(layer).parameter("weight", [4, 4], constant(1));
      scope.child(layer).parameter("bias", [4], constant(1));
    }
    return parallel.partialParameters(scope.parameters).map(({ name }) => name);
  };
  assertEquals(names(true), ["norm.weight", "norm.bias", "down.bias"]);
  assertEquals(names(false), []);
  assertEquals(names(true, 1), []);
});
