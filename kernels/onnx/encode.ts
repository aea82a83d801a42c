/**
 * Writes a graph as an ONNX model, with the messages of `onnx-buf` (generated from ONNX's own schema).
 *
 * @module
 */
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  AttributeProto_AttributeType as Kind,
  AttributeProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  TensorProto_DataLocation as Location,
  TensorProtoSchema,
  ValueInfoProtoSchema,
} from "onnx-buf";
import type { Attribute, Dim, Elements, GraphPart, Node, Value } from "./graph.ts";
import { ONNX_TYPES } from "./ops.ts";

/** Version of ONNX's operators that models are made of. */
export const OPSET = 20;
/** Version of ONNX's file format; the one that came with the opset. */
export const IR_VERSION = 9;

/** How a model is written. */
export interface EncodeOptions {
  /** Name of the graph. */
  readonly name?: string;
  /** Names that inputs and outputs have in the file; by default their own. */
  readonly rename?: ReadonlyMap<Value, string>;
  /** Takes elements that are not to be in the file, and says where they are; undefined = they are in it. */
  readonly externalize?: (value: Value) => ExternalData | undefined;
  /** Shown by viewers, by key. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Where the elements of a tensor are. */
export interface ExternalData {
  /** File beside the model. */
  readonly location: string;
  /** First byte. */
  readonly offset: number;
  /** Number of bytes. */
  readonly length: number;
}

/** The bytes of a model. */
export function encodeModel(part: GraphPart, options: EncodeOptions = {}): Uint8Array {
  const nameOf = (value: Value) => options.rename?.get(value) ?? value.name;
  const read = part.nodes.flatMap(({ inputs }) => inputs).filter((value) => value !== undefined);
  const constants = [...new Set([...read, ...part.outputs])].filter(({ elements }) => elements !== undefined);
  const model = create(ModelProtoSchema, {
    irVersion: BigInt(IR_VERSION),
    producerName: "tessera",
    opsetImport: [{ domain: "", version: BigInt(OPSET) }],
    metadataProps: Object.entries(options.metadata ?? {}).map(([key, value]) => ({ key, value })),
    graph: {
      name: options.name ?? "tessera",
      node: part.nodes.map((node) => nodeOf(node, nameOf)),
      initializer: constants.map((value) => tensorOf(value, nameOf(value), options)),
      input: part.inputs.map((value) => infoOf(value, nameOf)),
      output: part.outputs.map((value) => infoOf(value, nameOf)),
    },
  });
  return toBinary(ModelProtoSchema, model);
}

function nodeOf(
  { op, inputs, outputs, attributes }: Node,
  nameOf: (value: Value) => string,
): MessageInitShape<typeof NodeProtoSchema> {
  return {
    opType: op,
    name: outputs[0].name,
    input: inputs.map((value) => value === undefined ? "" : nameOf(value)),
    output: outputs.map(nameOf),
    attribute: Object.entries(attributes).map(([name, value]) => attributeOf(name, value)),
  };
}

function attributeOf(name: string, value: Attribute): MessageInitShape<typeof AttributeProtoSchema> {
  if (typeof value === "number") return { name, type: Kind.INT, i: BigInt(value) };
  if (typeof value === "string") return { name, type: Kind.STRING, s: new TextEncoder().encode(value) };
  if ("float" in value) return { name, type: Kind.FLOAT, f: value.float };
  return { name, type: Kind.INTS, ints: value.map((element) => BigInt(element)) };
}

function tensorOf(
  value: Value,
  name: string,
  { externalize }: EncodeOptions,
): MessageInitShape<typeof TensorProtoSchema> {
  const dims = value.shape.map((dim) => BigInt(dim)), dataType = ONNX_TYPES[value.type];
  const outside = externalize?.(value);
  if (outside === undefined) return { name, dims, dataType, rawData: bytesOf(value.elements!) };
  const externalData = Object.entries(outside).map(([key, entry]) => ({ key, value: `${entry}` }));
  return { name, dims, dataType, dataLocation: Location.EXTERNAL, externalData };
}

/** The elements in the byte order of ONNX, which is that of every machine that Deno runs on. */
export function bytesOf({ buffer, byteOffset, byteLength }: Elements): Uint8Array<ArrayBuffer> {
  return new Uint8Array(buffer, byteOffset, byteLength).slice();
}

function infoOf(
  value: Value,
  nameOf: (value: Value) => string,
): MessageInitShape<typeof ValueInfoProtoSchema> {
  const dim = value.shape.map((size: Dim) => ({
    value: typeof size === "number"
      ? { case: "dimValue" as const, value: BigInt(size) }
      : { case: "dimParam" as const, value: size },
  }));
  const tensor = { elemType: ONNX_TYPES[value.type], shape: { dim } };
  return { name: nameOf(value), type: { value: { case: "tensorType", value: tensor } } };
}
