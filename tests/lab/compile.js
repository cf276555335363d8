// Compiles what is published as sources, with a compiler from npm: `node compile.js aave-v3.6 morpho-blue`, into build/<name>/.
//
// AAVE_SOURCES names another folder with the sources of Aave (its src/contracts), for a release that npm does not have.
// COMET_SOURCES names the folder with those of Comet (its contracts), which npm does not have: `node compile.js comet`.
'use strict';
const fs = require('fs');
const path = require('path');

const modules = path.join(__dirname, 'node_modules');

const aave = process.env.AAVE_SOURCES || path.join(modules, '@aave-dao/aave-v3-origin/src/contracts');
const projects = {
  'aave-v3.6': {
    folders: [
      ['openzeppelin-contracts-upgradeable/contracts/', path.join(modules, '@openzeppelin/contracts-upgradeable')],
      ['openzeppelin-contracts/contracts/', path.join(modules, '@openzeppelin/contracts')],
      ['solidity-utils/contracts/', path.join(modules, '@bgd-labs/solidity-utils/src/contracts')],
      ['aave/', aave],
    ],
    wanted: ['instances/PoolInstance', 'instances/PoolConfiguratorInstance', 'instances/ATokenInstance',
      'instances/VariableDebtTokenInstance', 'instances/StableDebtTokenInstance', 'misc/AaveOracle',
      'misc/DefaultReserveInterestRateStrategyV2', 'misc/AaveProtocolDataProvider', 'helpers/AaveProtocolDataProvider',
      'protocol/pool/DefaultReserveInterestRateStrategyV2', 'protocol/configuration/PoolAddressesProvider',
      'protocol/configuration/ACLManager', 'mocks/tokens/MintableERC20'].map(name => `aave/${name}.sol`),
    settings: { optimizer: { enabled: true, runs: 200 }, evmVersion: 'shanghai' },
    compiler: 'solc',
  },
  'morpho-blue': {
    folders: [
      ['morpho/', path.join(modules, '@morpho-org/morpho-blue/src')],
      ['own/', path.join(__dirname, 'contracts')],
    ],
    wanted: ['morpho/Morpho.sol', 'morpho/mocks/ERC20Mock.sol', 'own/MovingRate.sol'],
    settings: { optimizer: { enabled: true, runs: 999999 }, viaIR: true },
    compiler: 'solc-0.8.19',
  },
  comet: {
    folders: [['comet/', process.env.COMET_SOURCES || '']],
    wanted: ['Comet', 'CometExt', 'test/FaucetToken'].map(name => `comet/${name}.sol`),
    settings: { optimizer: { enabled: true, runs: 1 } },
    compiler: 'solc-0.8.15',
  },
};

function compile(name, out) {
  const { folders, wanted, settings, compiler } = projects[name];
  const solc = require(path.join(modules, compiler));
  const find = asked => {
    const [prefix, folder] = folders.find(([prefix]) => asked.startsWith(prefix)) || ['', modules];
    return path.join(folder, asked.slice(prefix.length));
  };
  const sources = {};
  for (const one of wanted) {
    if (fs.existsSync(find(one))) sources[one] = { content: fs.readFileSync(find(one), 'utf8') };
  }
  const outputSelection = { '*': { '*': ['abi', 'evm.bytecode.object', 'evm.bytecode.linkReferences'] } };
  const input = { language: 'Solidity', sources, settings: { ...settings, metadata: { bytecodeHash: 'none' }, outputSelection } };
  const made = JSON.parse(solc.compile(JSON.stringify(input), { import: asked => {
    try {
      return { contents: fs.readFileSync(find(asked), 'utf8') };
    } catch (error) {
      return { error: String(error) };
    }
  } }));
  const errors = (made.errors || []).filter(one => one.severity === 'error');
  if (errors.length) throw new Error(errors.slice(0, 5).map(one => one.formattedMessage).join('\n'));
  fs.mkdirSync(out, { recursive: true });
  for (const file of Object.values(made.contracts)) for (const [contract, { abi, evm }] of Object.entries(file)) {
    if (!evm.bytecode.object) continue;
    const kept = { contractName: contract, abi, bytecode: '0x' + evm.bytecode.object, linkReferences: evm.bytecode.linkReferences };
    fs.writeFileSync(path.join(out, contract + '.json'), JSON.stringify(kept));
  }
}

for (const name of process.argv.slice(2)) compile(name, process.env.LAB_OUT || path.join(__dirname, 'build', name));
