// ONNX Runtime's side of bench/peers.py: one net, one batch, run once for each line on stdin.
// usage: node ort_peer.js MODEL.onnx BATCH THREADS (with NODE_PATH where onnxruntime-node is)
const ort = require('onnxruntime-node');
const [, , file, batchText, threads] = process.argv;

async function main() {
  const session = await ort.InferenceSession.create(file, {
    intraOpNumThreads: Number(threads), interOpNumThreads: 1, graphOptimizationLevel: 'all',
  });
  const batch = Number(batchText);
  const noise = new Float32Array(batch * 3 * 224 * 224).map(() => Math.random());
  const x = new ort.Tensor('float32', noise, [batch, 3, 224, 224]);
  await session.run({ x });
  console.log('ready');
  for await (const _ of require('readline').createInterface({ input: process.stdin })) {
    const begin = process.hrtime.bigint();
    await session.run({ x });
    console.log(Number(process.hrtime.bigint() - begin) / 1e9);
  }
  console.log(process.resourceUsage().maxRSS * 1024);
}

main();
