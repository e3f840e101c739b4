"""What the command line does: each public function of these files is a command, imported when it is run."""
