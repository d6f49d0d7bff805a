package planner

// handlers compose calls for the operations whose parameters need more than one value per slot. Any other operation is
// served by generic, from its schema alone.
var handlers map[string]func(*run, *unit)

func init() {
	handlers = map[string]func(*run, *unit){
		"instances_list": (*run).listing, "skills_list": (*run).listing, "secrets_list": (*run).listing, "automations_list": (*run).listing,
		"webhooks_list": (*run).listing, "experiments_list": (*run).listing,
		"instances_create": (*run).createInstances, "instances_clone": (*run).cloneInstance, "instances_update": (*run).updateInstance,
		"instances_exec": (*run).exec, "instances_logs": (*run).logs, "instances_get": (*run).showInstance,
		"files_list": (*run).listFiles, "files_read": (*run).readFile, "files_write": (*run).writeFile, "files_delete": (*run).deleteFile,
		"config_get": (*run).showConfig, "config_update": (*run).updateConfig,
		"skills_create": (*run).createSkill, "skills_update": (*run).updateSkill, "skills_install": (*run).install, "skills_uninstall": (*run).install,
		"skills_test": (*run).testSkill, "skills_get": (*run).showSkill,
		"secrets_create": (*run).createSecret, "secrets_update": (*run).updateSecret, "secrets_grant": (*run).grant, "secrets_revoke": (*run).revoke,
		"automations_create": (*run).createAutomation, "automations_update": (*run).updateAutomation, "automations_get": (*run).showAutomation,
		"webhooks_create": (*run).createWebhook, "webhooks_update": (*run).updateWebhook, "webhooks_get": (*run).showWebhook,
		"experiments_create": (*run).createExperiment, "experiments_leaderboard": (*run).leaderboard, "experiments_evolve": (*run).evolve,
		"experiments_ensemble": (*run).ensemble, "experiments_promote": (*run).promote, "experiments_evaluate": (*run).evaluate,
		"experiments_get": (*run).showExperiment, "experiments_wait": (*run).awaitExperiment,
	}
}
