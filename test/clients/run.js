// SPDX-License-Identifier: Apache-2.0
// Runs the checks that the command line names, one after the other, and says how long each took. A
// client that hangs for longer than `seconds` is a failure that says so.
"use strict";
module.exports = function run(program, checks, seconds) {
	async function main() {
		for (const name of process.argv.slice(2)) {
			const begun = Date.now();
			await checks[name]();
			console.log(`${name} (${Date.now() - begun} ms)`);
		}
	}
	setTimeout(() => {
		console.error(`${program}: no end after ${seconds} s`);
		process.exit(1);
	}, seconds * 1000);
	main().then(() => process.exit(0), (error) => {
		console.error(error);
		process.exit(1);
	});
};
