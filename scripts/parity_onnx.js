// ONNX Runtime's side of scripts/parity-onnx: models that strata wrote, each with a batch and strata's own answers.
// usage: node parity_onnx.js FOLDER (with NODE_PATH where onnxruntime-node is); lines `NAME N C H W CLASSES` on stdin.
// Exit status 1 where the norm of the difference is more than 1e-4 of the norm of ONNX Runtime's.
const fs = require('fs');
const path = require('path');
const ort = require('onnxruntime-node');

const folder = process.argv[2];
const LIMIT = 1e-4;

function numbers(file) {
  const bytes = fs.readFileSync(path.join(folder, file));
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

async function compare(name, shape) {
  const session = await ort.InferenceSession.create(path.join(folder, `${name}.onnx`), {
    intraOpNumThreads: 2, interOpNumThreads: 1,
  });
  const images = new ort.Tensor('float32', numbers(`${name}.in`), shape);
  const { logits } = await session.run({ images });
  const ours = numbers(`${name}.out`);
  let difference = 0, norm = 0;
  for (let i = 0; i < ours.length; i++) {
    difference += (ours[i] - logits.data[i]) ** 2;
    norm += logits.data[i] ** 2;
  }
  const error = Math.sqrt(difference / norm);
  const good = logits.data.length === ours.length && (error <= LIMIT || difference === 0);
  await session.release();
  return { error: difference === 0 ? 0 : error, good };
}

async function main() {
  let failed = 0, count = 0, worst = 0;
  for await (const line of require('readline').createInterface({ input: process.stdin })) {
    const [name, ...sizes] = line.split(' ');
    const shape = sizes.slice(0, 4).map(Number);
    const { error, good } = await compare(name, shape);
    count++;
    failed += good ? 0 : 1;
    worst = Math.max(worst, error);
    console.log(`${name.padEnd(24)} ${shape.join('x').padEnd(16)} ${error.toExponential(1)}${good ? '' : '  FAILED'}`);
  }
  console.log(`${count} models, the worst ${worst.toExponential(1)} of the norm, ${failed} failed`);
  process.exitCode = failed > 0 || count === 0 ? 1 : 0;
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
