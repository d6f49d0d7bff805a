package fleet_test

func victim(string) {}
